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
    learned on two thirds of the people, more of whom must have two photos or more than there are channels. FNMR at an
    FMR of 1e-3 is measured on the other third, before and after. --seed also chooses these.

    The card has no operating points: run visavis calibrate on the new bundle.

    Exit status: 0, or 2 if the photos or the model cannot be used.
    """
    require_new_folder(out)
    _require_fewer(model, channels)
    people = ProjectionPeople.of(people_of(read_identities(photos)), seed)
    learned = _learned(model, people.learned, channels, cache)
    with load(model) as embedder:
        before = _embedded(people.held_out, embedder, cache)
    after = _written(model, learned, out, people.held_out)
    cost = projection_cost(people.held_out, before, after, Resampling(seed=seed))
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


def _written(model: str, learned: LearnedProjection, out: Path, held_out: Protocol) -> EmbeddedSet:
    """Write the bundle, embed photos with it, and then let it appear in its place."""
    bundle = read_bundle(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".project-") as beside:
        made = Path(beside) / "bundle"
        channels = len(learned.projection.matrix)
        write_projected(bundle, learned, f"{bundle.card.name[:MAX_NAME]}-{channels}", made)
        with load(made) as embedder:
            after = _embedded(held_out, embedder, None)
        made.rename(out)
    return after


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
