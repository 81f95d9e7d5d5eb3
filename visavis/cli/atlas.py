"""`visavis atlas`: what each of the 128 channels goes with, over photos of many people."""

import json
from pathlib import Path

import click

from embedder import load, read_bundle, show_progress
from embedder.explain import Atlas, AtlasError, AtlasRequest, atlas_page, atlas_record, make_atlas

from .options import PRIVATE, model_option, write_file

PHOTOS, PER_PERSON = 5000, 5
N_TOLD = 8  # channels, by the strength of what they go with


@click.command()
@click.option("--identities", "folder", required=True, metavar="DIR", help="A folder with a folder for each person.")
@click.option("--out", required=True, metavar="DIR", help="A new folder, for atlas.html and atlas.json.")
@click.option(
    "--photos", "n_photos", type=click.IntRange(1), default=PHOTOS, show_default=True, help="At most so many."
)
@click.option(
    "--per-person", type=click.IntRange(1), default=PER_PERSON, show_default=True, help="Of a person at most."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which ones are drawn.")
@click.option("--traits", metavar="FILE.csv", help="Traits of your own: a column photo or identity, and numbers.")
@model_option
def atlas(  # noqa: PLR0913 - one for each word that the command takes
    *, folder: str, out: str, n_photos: int, per_person: int, seed: int, traits: str | None, model_path: str | None
) -> None:
    """Make the atlas of a model's channels: whose faces excite each, where it looks, and what it goes with.

    atlas.html shows faces of the people: treat it like the photos. atlas.json holds none, no names and no paths.
    """
    target = _new_folder(Path(out))
    wanted = AtlasRequest(Path(folder), n_photos, per_person, seed, None if traits is None else Path(traits))
    bundle = read_bundle(model_path)
    made, faces = make_atlas(wanted, bundle, load(model_path), show_progress)
    write_file(str(target / "atlas.html"), atlas_page(made, faces).encode(), PRIVATE)
    write_file(str(target / "atlas.json"), json.dumps(atlas_record(made), ensure_ascii=False).encode())
    click.echo(_in_words(made))
    click.echo(f"written to {target}/atlas.html and {target}/atlas.json")


def _in_words(made: Atlas) -> str:
    sure = [each for each in made.channels if each.strength]
    strongest = sorted(sure, key=lambda each: -each.strength)[:N_TOLD]
    told = f"{made.n_faces:,} faces of {made.n_people:,} people; {len(sure)} of 128 channels surely go with a trait:"
    return "\n".join([told, *(f"  {each.channel:3}  {each.sentence.en}" for each in strongest)])


def _new_folder(folder: Path) -> Path:
    """Make it. Raises AtlasError where there is something already, or it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise AtlasError(f"{folder}: there is something in it already; choose a new folder")
    except OSError as error:
        raise AtlasError(f"{folder}: {error.strerror}; choose another folder") from error
    return folder
