"""`visavis models`: the models that are known here, built in and in the folder VISAVIS_MODELS."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from embedder import BUILT_IN_MODELS, ModelError, known_bundles, load, printable, read_bundle

from .doctor import drawn_chips, median_ms
from .options import json_option

MB = 1e6


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model by its name, and what its card says; or why it cannot be used."""

    name: str  # as --model takes it
    is_built_in: bool
    licence: str | None = None
    n_bytes: int | None = None  # on disk
    channels: int | None = None  # of an embedding
    operating_points: tuple[str, ...] | None = None  # empty: not measured
    pair_ms: float | None = None  # to embed two faces here; None: not asked for
    problem: str | None = None  # why it cannot be used; None: it can


@click.command()
@click.option("--no-speed", is_flag=True, help="Do not load the models to measure how long a pair takes.")
@json_option
def models(*, no_speed: bool, as_json: bool) -> None:
    """List the models that are known: built in, and in the folder that the variable VISAVIS_MODELS names.

    --model takes each by its name. The time of a pair is that of the network for two faces that are found already, on
    this machine. A bundle that cannot be used is listed with the reason.

    Exit status: 0, or 2 if the folder cannot be read.
    """
    found = [_known(name, folder, is_timed=not no_speed) for name, folder in known_bundles().items()]
    click.echo(json.dumps([asdict(each) for each in found], indent=2) if as_json else "\n".join(_lines(found)))


def _known(name: str, folder: Path, *, is_timed: bool) -> KnownModel:
    is_built_in = name in BUILT_IN_MODELS
    try:
        card = read_bundle(folder).card
        return KnownModel(
            name,
            is_built_in,
            card.provenance.license,
            sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
            card.architecture.embedding_size,
            tuple(point.name for point in card.operating_points),
            _pair_ms(folder) if is_timed else None,
        )
    except ModelError as error:
        return KnownModel(name, is_built_in, problem=str(error))
    except OSError as error:
        return KnownModel(name, is_built_in, problem=f"it cannot be read: {error.strerror}")


def _pair_ms(folder: Path) -> float:
    with load(folder) as embedder:
        chips = drawn_chips(embedder)
        return median_ms(lambda: embedder.embed_faces(chips))


def _lines(found: list[KnownModel]) -> Iterator[str]:
    width = max(len(printable(each.name)) for each in found)
    for each in found:
        name = click.style(printable(each.name).ljust(width), bold=True)
        if each.problem is not None:
            yield f"{name}  cannot be used: {each.problem}"
            continue
        points = ", ".join(each.operating_points or ("not measured",))
        pair = "" if each.pair_ms is None else f", {each.pair_ms:.1f} ms for a pair"
        where = ", built in" if each.is_built_in else ""
        yield f"{name}  {each.channels} channels, {(each.n_bytes or 0) / MB:.0f} MB{pair}{where}"
        yield f"{' ' * width}  points: {points}"
        yield f"{' ' * width}  licence: {printable(each.licence or '')}"
