"""`visavis atlas`: correlations of a model's channels with traits, over photos of many people."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from embedder import load, read_bundle, show_progress
from embedder.explain import (
    Atlas,
    AtlasError,
    AtlasFaces,
    AtlasRequest,
    atlas_page,
    atlas_record,
    failed_csv,
    make_atlas,
)

from .options import PRIVATE, model_option, write_file
from .output import other_files_text

PHOTOS, PER_PERSON = 5000, 5
FAILED_FILE = "failed.csv"
N_SHOWN = 8  # channels, by the strength of their correlation


@click.command()
@click.option("--identities", "folder", required=True, metavar="DIR", help="A folder with a folder for each person.")
@click.option("--out", required=True, metavar="DIR", help="A new folder, for atlas.html, atlas.json and failed.csv.")
@click.option(
    "--photos", "n_photos", type=click.IntRange(1), default=PHOTOS, show_default=True, help="Maximum number of photos."
)
@click.option(
    "--per-person", type=click.IntRange(1), default=PER_PERSON, show_default=True, help="Maximum number per person."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for choosing the photos.")
@click.option("--traits", metavar="FILE.csv", help="Additional traits: a column photo or identity, and numbers.")
@model_option
def atlas(  # noqa: PLR0913 - one for each option of the command
    *, folder: str, out: str, n_photos: int, per_person: int, seed: int, traits: str | None, model_path: str | None
) -> None:
    """Make the atlas of a model's channels: their strongest faces, sensitive places and correlations with traits.

    atlas.html shows faces of the people: treat it like the photos. atlas.json contains no faces, names or paths.
    failed.csv lists the photos without a usable face.
    """
    target = _new_folder(Path(out))
    request = AtlasRequest(Path(folder), n_photos, per_person, seed, None if traits is None else Path(traits))
    bundle = read_bundle(model_path)
    result, faces = make_atlas(request, bundle, load(model_path), show_progress)
    write_file(str(target / "atlas.html"), atlas_page(result, faces).encode(), PRIVATE)
    write_file(str(target / "atlas.json"), json.dumps(atlas_record(result), ensure_ascii=False).encode())
    write_file(str(target / FAILED_FILE), failed_csv(faces), PRIVATE)
    click.echo(_as_text(result))
    click.echo("\n".join(_left_out(faces, target)), nl=bool(faces.failures or faces.n_other_files))
    click.echo(f"written to {target}/atlas.html and {target}/atlas.json")


def _as_text(result: Atlas) -> str:
    sure = [each for each in result.channels if each.strength]
    strongest = sorted(sure, key=lambda each: -each.strength)[:N_SHOWN]
    head = (
        f"{result.n_faces:,} faces of {result.n_people:,} people; {len(sure)} of {len(result.channels)} channels "
        "correlate significantly with a trait:"
    )
    return "\n".join([head, *(f"  {each.channel:3}  {each.sentence.en}" for each in strongest)])


def _left_out(faces: AtlasFaces, target: Path) -> Iterator[str]:
    if faces.failures:
        reasons = ", ".join(f"{code} {number:,}" for code, number in faces.failed.most_common())
        yield f"{len(faces.failures):,} photos failed ({reasons}); each is in {target}/{FAILED_FILE}"
    yield from other_files_text(faces.n_other_files)


def _new_folder(folder: Path) -> Path:
    """Create the folder. Raises AtlasError if it is not empty or cannot be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AtlasError(f"{folder} is not empty; choose a new folder")
    except OSError as error:
        raise AtlasError(f"{folder}: {error.strerror}; choose another folder") from error
    return folder
