"""`visavis project`: learn a projection of a model's embeddings to fewer channels, on a folder of people."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from embedder import (
    BundleError,
    FaceEmbedder,
    Progress,
    load,
    read_bundle,
    require_new_folder,
    show_progress,
)
from train import (
    EmbeddedSet,
    LearnedProjection,
    ProjectionCost,
    ProjectionPeople,
    Protocol,
    Resampling,
    difference_text,
    embed_photos,
    estimated,
    learn_projection,
    open_cache,
    people_of,
    projection_cost,
    read_identities,
    write_projected,
)

from . import data_options

MAX_NAME = 59  # of the characters that a card's name may have, with room for the number of channels


@click.command()
@click.argument("model")
@click.option(
    "--photos", type=data_options.PATH, required=True, metavar="DIR", help="A folder with one folder per person."
)
@click.option("--channels", type=click.IntRange(64, 1023), required=True, help="Channels after the projection.")
@click.option("--out", type=data_options.PATH, required=True, metavar="BUNDLE", help="A new folder for the bundle.")
@data_options.cache_option
@data_options.seed_option
def project(model: str, photos: Path, channels: int, out: Path, cache: Path | None, seed: int) -> None:
    """Learn a projection of MODEL's embeddings to fewer channels, and write a bundle that ends with it.

    MODEL is a bundle. Shorter embeddings take less memory in galleries, and are compared faster. The projection is
    learned on two thirds of the people, of whom there must be more photos with a face than channels. FNMR at an
    FMR of 1e-3 is measured on the other third, before and after. --seed also chooses these.

    The card has no operating points: run visavis calibrate on the new bundle.

    Exit status: 0, or 2 if the photos or the model cannot be used.
    """
    require_new_folder(out)
    _require_fewer(model, channels)
    with _folder_beside(out) as beside:
        people = ProjectionPeople.of(people_of(read_identities(photos)), seed)
        learned = _learned(model, people.learned, channels, cache)
        with load(model) as embedder:
            before = _embedded(people.held_out, embedder, cache)
        after = _embedded_after(model, learned, Path(beside) / "bundle", people.held_out)
        cost = projection_cost(people.held_out, before, after, Resampling(seed=seed))
        (Path(beside) / "bundle").rename(out)
    click.echo("\n".join(_as_text(learned, people.held_out, cost, out)))


def _require_fewer(model: str, channels: int) -> None:
    before = read_bundle(model).card.architecture.embedding_size
    if channels >= before:
        raise BundleError(f"the model has {before} channels; --channels {channels} would not be fewer")


def _learned(model: str, people: Protocol, channels: int, cache: Path | None) -> LearnedProjection:
    with load(model, mirror=False) as embedder:  # the network projects before the mean over mirror images
        return learn_projection(people, _embedded(people, embedder, cache), channels)


def _embedded(people: Protocol, embedder: FaceEmbedder, cache: Path | None) -> EmbeddedSet:
    progress: Progress = show_progress
    kept = None if cache is None else open_cache(cache, embedder, people.face)
    return embed_photos(people, embedder, people.face, kept, progress)


def _embedded_after(model: str, learned: LearnedProjection, made: Path, held_out: Protocol) -> EmbeddedSet:
    """Write the bundle, and embed photos with it."""
    bundle, channels = read_bundle(model), len(learned.projection.matrix)
    write_projected(bundle, learned, f"{bundle.card.name[:MAX_NAME]}-{channels}", made)
    with load(made) as embedder:
        return _embedded(held_out, embedder, None)


def _folder_beside(out: Path) -> TemporaryDirectory[str]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(dir=out.parent, prefix=".project-")
    except OSError as error:
        raise BundleError(f"the bundle cannot be written: {error.strerror}; choose another --out") from error


def _as_text(learned: LearnedProjection, held_out: Protocol, cost: ProjectionCost, out: Path) -> list[str]:
    return [
        f"{learned}",
        f"FNMR at FMR 1e-3, on {len(held_out.photos):,} photos of {held_out.n_identities:,} other people:",
        f"  before {estimated(cost.before)}",
        f"  after  {estimated(cost.after)}",
        f"  {difference_text(cost)}",
        "operating points: not measured; run visavis calibrate",
        f"written to {out}",
    ]
