"""`visavis calibrate`: operating points and probabilities for a model, measured on photos of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from embedder import FaceChoice, ModelCard, copy_bundle, load, require_new_folder

from ..evaluation.bootstrap import Resampling
from ..evaluation.cache import open_cache
from ..evaluation.calibration import DEFAULT_POINT, Described, calibrate
from ..evaluation.cautions import doubles
from ..evaluation.evaluation import Setting, embed_and_compare
from ..evaluation.progress import progress_line
from ..evaluation.protocols.folders import people_of
from ..evaluation.protocols.protocol import Protocol
from ..evaluation.words import rate, span
from . import options
from .sources import Source

MOST_LOST = 0.5  # of the genuine comparisons, for a default point to be of use


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for beside the photos."""

    out: Path
    model: str | None
    face: FaceChoice | None
    name: str | None
    population: str
    cache: Path | None
    seed: int


@click.command(name="calibrate")
@options.identities_option
@options.pairs_option
@options.images_option
@options.model_option
@click.option("--out", type=options.PATH, required=True, metavar="BUNDLE", help="A new folder for the bundle.")
@options.face_option
@click.option("--name", help="What to call the photos in the card (the file's or folder's name).")
@click.option(
    "--population",
    default="Not described.",
    show_default=True,
    help="Whom the photos show and how they were taken, in a sentence: error rates hold for such people and photos.",
)
@options.cache_option
@options.seed_option
def calibrate_command(**given: Any) -> None:
    """Measure a model on photos and write a bundle whose card has the operating points fmr-1e-2 to fmr-1e-6.

    Give --identities DIR, or --pairs FILE --images DIR: every photo is compared with every other. As many points are
    written as the comparisons carry: a point takes 10 false matches, so fmr-1e-4 takes 100,000 impostor comparisons,
    of some 450 photos; and at least 20 people need two photos or more. The weights stay as they are.

    Exit status: 0, or 2 where the photos or the model cannot be used.
    """
    if not str(given["population"]).strip() or given["name"] == "":
        raise click.UsageError("--name and --population must say something, or be left out")
    source = Source(**{name: given.pop(name) for name in ("pairs", "images", "identities")})
    asked = Asked(**given)
    require_new_folder(asked.out)  # before hours go into the embeddings
    card, said = _calibrated(people_of(source.read()), source, asked)
    copy_bundle(asked.model, asked.out, card)
    click.echo("\n".join([_as_text(card, asked.out), *(f"  beware: {each}" for each in said)]))


def _calibrated(protocol: Protocol, source: Source, asked: Asked) -> tuple[ModelCard, list[str]]:
    embedder, face = load(asked.model), asked.face or protocol.face
    cache = None if asked.cache is None else open_cache(asked.cache, embedder, face)
    setting = Setting(embedder, face, cache, Resampling(seed=asked.seed), progress_line)
    described = Described(asked.name or source.name, asked.population)
    compared = embed_and_compare(protocol, setting)
    card = calibrate(compared, setting, described)
    return card, [*doubles(compared), *_useless(card)]


def _useless(card: ModelCard) -> Iterator[str]:
    for point in card.operating_points:
        if point.name == card.default_point and (point.fnmr or 0) > MOST_LOST:
            yield f"the default point turns away {rate(point.fnmr)} of the genuine comparisons; check the identities"


def _as_text(card: ModelCard, out: Path) -> str:
    lines = [click.style(str(out), bold=True) + f": {card.name}, {len(card.operating_points)} operating points"]
    for point in card.operating_points:
        is_default = " (default)" * (point.name == card.default_point)
        fmr, fnmr = rate(point.fmr) + span(point.fmr_interval), rate(point.fnmr) + span(point.fnmr_interval)
        lines.append(f"  {point.name}  below {point.threshold:.5g}: FMR {fmr}, FNMR {fnmr}{is_default}")
    if card.default_point != DEFAULT_POINT:
        lines.append(f"  The photos do not carry {DEFAULT_POINT}; the default is the strictest that they do carry.")
    return "\n".join(lines)
