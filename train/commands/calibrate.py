"""`visavis calibrate`: operating points and probabilities for a model, measured on photos of one's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from embedder import (
    FaceChoice,
    ModelCard,
    OperatingPoint,
    Places,
    Running,
    copy_bundle,
    load,
    require_new_folder,
    running_options,
)

from ..evaluation.bootstrap import Resampling
from ..evaluation.cache import open_cache
from ..evaluation.calibration import Described, Normalising, Population, calibrate
from ..evaluation.cautions import of_calibration
from ..evaluation.compared import Compared
from ..evaluation.evaluation import Setting, embed_and_compare
from ..evaluation.operating_points import DEFAULT_POINT, FMRS
from ..evaluation.progress import progress_line
from ..evaluation.protocols.folders import people_of, read_identities
from ..evaluation.protocols.protocol import Protocol
from ..evaluation.words import rate, span
from ..own_threshold.cohort import require_other_people
from ..own_threshold.fit import Strangers, fit
from ..own_threshold.foundation import Foundation
from . import options
from .sources import Source

NOT_DESCRIBED = "Not described."
MOST_LOST = 0.5  # of the genuine comparisons, for a default point to be of use


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for beside the photos."""

    out: Path
    model: str | None
    running: Running
    face: FaceChoice | None
    name: str | None
    population: str
    also: tuple[Path, ...]
    also_population: tuple[str, ...]
    cohort: Path | None
    cohort_population: str
    cache: Path | None
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A new card, and what goes with it."""

    card: ModelCard
    neighbourhood: bytes | None  # the bundle's file, where it was fitted anew
    warnings: list[str]


@click.command(name="calibrate")
@options.identities_option
@options.pairs_option
@options.images_option
@options.model_option
@running_options
@click.option("--out", type=options.PATH, required=True, metavar="BUNDLE", help="A new folder for the bundle.")
@options.face_option
@click.option("--name", help="What to call the photos in the card (the file's or folder's name).")
@click.option(
    "--population",
    default=NOT_DESCRIBED,
    show_default=True,
    help="Whom the photos show and how they were taken, in a sentence: error rates hold for such people and photos.",
)
@click.option(
    "--also",
    type=options.PATH,
    multiple=True,
    metavar="DIR",
    help="Another population, one folder per person: each point keeps its FMR on these photos too. Repeat it for more.",
)
@click.option(
    "--also-population",
    multiple=True,
    metavar="TEXT",
    help="The same of each --also, in their order: whom it shows and how the photos were taken.",
)
@click.option(
    "--cohort",
    type=options.PATH,
    metavar="DIR",
    help="Photos of strangers, one folder per person, 500 people or more: every pair gets a threshold of its own.",
)
@click.option(
    "--cohort-population",
    default=NOT_DESCRIBED,
    show_default=True,
    help="The same of the cohort: whom it shows and how the photos were taken.",
)
@options.cache_option
@options.seed_option
def calibrate_command(**given: Any) -> None:
    """Measure a model on photos and write a bundle whose card has the operating points fmr-1e-2 to fmr-1e-6.

    Give --identities DIR, or --pairs FILE --images DIR: every photo is compared with every other. As many points are
    written as the comparisons carry: a point takes 10 false matches, so fmr-1e-4 takes 100,000 impostor comparisons,
    of some 450 photos; and at least 20 people need two photos or more. The weights stay as they are.

    With --also DIR, which can be repeated, each point has the smallest of the thresholds that the populations give it.
    Each is compared within itself. One with too few comparisons for a point is left out there; FNMR and probability are
    of the first photos alone.

    With --cohort DIR, poor copies of both are embedded too, and the card learns how near strangers come to a face and
    what a poor photo costs. Without it, a model that knows keeps what it knows; another has one threshold for all
    pairs.

    Exit status: 0, or 2 where the photos or the model cannot be used.
    """
    source = Source(**{name: given.pop(name) for name in ("pairs", "images", "identities")})
    asked = Asked(**given)
    _refuse_contradictions(asked)
    require_new_folder(asked.out)  # before hours go into the embeddings
    made = _made(people_of(source.read()), source, asked)
    copy_bundle(asked.model, asked.out, made.card, made.neighbourhood)
    click.echo("\n".join([*_as_text(made.card, asked.out), *(f"  beware: {each}" for each in made.warnings)]))


def _refuse_contradictions(asked: Asked) -> None:
    """Raise click.UsageError where options say nothing or contradict each other."""
    if asked.running.precision != "f32":
        raise click.UsageError(
            f"a card's points are measured in f32, for every precision: leave out --precision {asked.running.precision}"
        )
    texts = [asked.population, asked.cohort_population, *asked.also_population]
    if asked.name == "" or not all(text.strip() for text in texts):
        raise click.UsageError(
            "--name, --population, --also-population and --cohort-population must say something, or be left out"
        )
    if asked.also_population and len(asked.also_population) != len(asked.also):
        raise click.UsageError(
            f"--also was given {len(asked.also)} times and --also-population {len(asked.also_population)} times; "
            "describe each, in their order, or none"
        )
    if asked.also and asked.cohort is not None:
        raise click.UsageError(
            "give --also or --cohort, not both: calibrate with --cohort first, then its bundle with --model and --also"
        )


def _made(protocol: Protocol, source: Source, asked: Asked) -> Made:
    cohort = None if asked.cohort is None else read_identities(asked.cohort)
    if cohort is not None:
        require_other_people(protocol, cohort)
    described = Described(asked.name or source.name, asked.population)
    also = _also(described, asked)
    setting = _setting(protocol, asked)
    compared = embed_and_compare(protocol, setting)
    normalising, neighbourhood = _normalising(compared, cohort, setting, asked)
    further = [_population(photos, of_photos, setting, asked) for photos, of_photos in also]
    card = calibrate(compared, setting, described, normalising, further)
    return Made(card, neighbourhood, [*_cautions(compared, further, card), *_useless(card)])


def _also(described: Described, asked: Asked) -> list[tuple[Protocol, Described]]:
    """Read the folders of further populations; raises click.UsageError where two populations have one name."""
    protocols = [read_identities(folder) for folder in asked.also]
    names = [described.name, *(protocol.name for protocol in protocols)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.UsageError(f"two populations are called {twice[0]!r}; rename a folder, or give --name to the first")
    texts = asked.also_population or [NOT_DESCRIBED] * len(protocols)
    return [(each, Described(each.name, text)) for each, text in zip(protocols, texts, strict=True)]


def _population(protocol: Protocol, described: Described, setting: Setting, asked: Asked) -> Population:
    own = setting.embedder.card.own_threshold
    compared = embed_and_compare(protocol, _setting_of(protocol, setting, asked))
    return Population(compared, described, None if own is None else _places(compared, setting))


def _places(compared: Compared, setting: Setting) -> Places:
    return setting.embedder.places(compared.embedded.vectors, compared.embedded.measures)


def _cautions(compared: Compared, further: Sequence[Population], card: ModelCard) -> Iterator[str]:
    yield from of_calibration(compared, card)
    for each in further:
        yield from (f"{each.described.name}: {caution}" for caution in of_calibration(each.compared, card))


def _setting(protocol: Protocol, asked: Asked) -> Setting:
    embedder, face = load(asked.model, running=asked.running), asked.face or protocol.face
    cache = None if asked.cache is None else open_cache(asked.cache, embedder, face)
    return Setting(embedder, face, cache, Resampling(seed=asked.seed), progress_line)


def _normalising(
    compared: Compared, cohort: Protocol | None, setting: Setting, asked: Asked
) -> tuple[Normalising | None, bytes | None]:
    """Fit what normalises distances, or take it from the model's card where there is no cohort to fit it on."""
    own = setting.embedder.card.own_threshold
    if cohort is not None:
        of_cohort = _setting_of(cohort, setting, asked)
        strangers = Strangers(cohort, asked.cohort_population, of_cohort)
        fitted = fit(compared, strangers, setting, FMRS[DEFAULT_POINT])
        return Normalising(fitted.foundation, fitted.places), fitted.neighbourhood
    if own is None:
        return None, None
    return Normalising(Foundation.of(own), _places(compared, setting)), None


def _setting_of(protocol: Protocol, setting: Setting, asked: Asked) -> Setting:
    """Which face of a cohort or of further photos is meant may differ, and so the file in the cache."""
    face = asked.face or protocol.face
    cache = None if asked.cache is None else open_cache(asked.cache, setting.embedder, face)
    return replace(setting, face=face, cache=cache)


def _useless(card: ModelCard) -> Iterator[str]:
    for point in card.points(card.score_kind):
        if point.name == card.default_point and (point.fnmr or 0) > MOST_LOST:
            yield f"the default point turns away {rate(point.fnmr)} of the genuine comparisons; check the identities"


def _as_text(card: ModelCard, out: Path) -> Iterator[str]:
    yield click.style(str(out), bold=True) + f": {card.name}, {len(card.operating_points)} operating points"
    own = card.own_threshold
    if own is not None:
        yield "  every pair its own threshold, by normalised distance:"
        yield from (_point_as_text(point, card) for point in own.operating_points)
        yield f"  a photo whose penalty exceeds {own.quality.floor:.3g} is refused"
    yield "  one threshold for all pairs, by distance:" if own else "  one threshold for all pairs: no cohort"
    yield from (_point_as_text(point, card) for point in card.operating_points)
    strictest = card.operating_points[-1]
    yield f"  {strictest.name}: {strictest.note}"  # how far the photos carry


def _point_as_text(point: OperatingPoint, card: ModelCard) -> str:
    is_default = " (default)" * (point.name == card.default_point)
    fmr, fnmr = rate(point.fmr) + span(point.fmr_interval), rate(point.fnmr) + span(point.fnmr_interval)
    set_by = "" if point.population is None else f", set by {point.population}"
    return f"    {point.name}  below {point.threshold:.5g}: FMR {fmr}, FNMR {fnmr}{set_by}{is_default}"
