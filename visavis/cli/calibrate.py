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
    QualityPenalty,
    RuntimeOptions,
    copy_bundle,
    load,
    require_new_folder,
    show_progress,
)
from train import (
    ComparedPhotos,
    EvaluationConfig,
    Population,
    PopulationFacts,
    Protocol,
    Resampling,
    calibrate,
    calibration_cautions,
    embed_and_compare,
    fit_quality_penalties,
    interval_text,
    open_cache,
    people_of,
    rate_text,
    read_identities,
)

from . import data_options
from .data_options import ProtocolOptions
from .options import running_options

NOT_DESCRIBED = "Not described."
MOST_LOST = 0.5  # of the genuine comparisons, for a default point to be of use


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What the command line asks for beside the photos."""

    out: Path
    model: str | None
    running: RuntimeOptions
    face: FaceChoice | None
    name: str | None
    population: str
    also: tuple[Path, ...]
    also_population: tuple[str, ...]
    degrade: bool
    cache: Path | None
    seed: int


@click.command(name="calibrate")
@data_options.identities_option
@data_options.pairs_option
@data_options.images_option
@data_options.model_option
@running_options
@click.option("--out", type=data_options.PATH, required=True, metavar="BUNDLE", help="A new folder for the bundle.")
@data_options.face_option
@click.option("--name", help="What to call the photos in the card (the file's or folder's name).")
@click.option(
    "--population",
    default=NOT_DESCRIBED,
    show_default=True,
    help="Whom the photos show and how they were taken, in a sentence: error rates hold for such people and photos.",
)
@click.option(
    "--also",
    type=data_options.PATH,
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
    "--degrade", is_flag=True, help="Also embed degraded copies of the photos, and fit what a poor photo costs."
)
@data_options.cache_option
@data_options.seed_option
def calibrate_command(**given: Any) -> None:
    """Measure a model on photos and write a bundle whose card has the operating points fmr-1e-2 to fmr-1e-6.

    Give --identities DIR, or --pairs FILE --images DIR: every photo is compared with every other. As many points are
    written as the comparisons carry: a point takes 10 false matches, so fmr-1e-4 takes 100,000 impostor comparisons,
    of some 450 photos; and at least 20 people need two photos or more. The weights stay as they are.

    With --also DIR, which can be repeated, each point has the smallest of the thresholds that the populations give it.
    Each is compared within itself. One with too few comparisons for a point is left out there; FNMR and probability are
    of the first photos alone.

    With --degrade, copies of up to 2,000 of the first photos are blurred, shrunk or compressed in nine ways, and the
    card gets the penalty by which pairs of poor photos keep the FMR of each point. It takes photos of at least 100
    people. Without it a model whose card has such a penalty keeps it; another has none.

    Exit status: 0, or 2 where the photos or the model cannot be used.
    """
    source = ProtocolOptions(**{name: given.pop(name) for name in ("pairs", "images", "identities")})
    asked = CalibrateOptions(**given)
    _refuse_contradictions(asked)
    require_new_folder(asked.out)  # before hours go into the embeddings
    card, warnings = _calibrated(people_of(source.read()), source, asked)
    copy_bundle(asked.model, asked.out, card)
    click.echo("\n".join([*_as_text(card, asked.out), *(f"  beware: {each}" for each in warnings)]))


def _refuse_contradictions(asked: CalibrateOptions) -> None:
    """Raise click.UsageError where options say nothing or contradict each other."""
    if asked.running.precision != "f32":
        raise click.UsageError(
            f"a card's points are measured in f32, for every precision: leave out --precision {asked.running.precision}"
        )
    if asked.name == "" or not all(text.strip() for text in (asked.population, *asked.also_population)):
        raise click.UsageError("--name, --population and --also-population must say something, or be left out")
    if asked.also_population and len(asked.also_population) != len(asked.also):
        raise click.UsageError(
            f"--also was given {len(asked.also)} times and --also-population {len(asked.also_population)} times; "
            "describe each, in their order, or none"
        )


def _calibrated(protocol: Protocol, source: ProtocolOptions, asked: CalibrateOptions) -> tuple[ModelCard, list[str]]:
    """Return the new card, and what is to be known of the photos."""
    described = PopulationFacts(asked.name or source.name, asked.population)
    also = _also(described, asked)
    setting = _setting(protocol, asked)
    compared = embed_and_compare(protocol, setting)
    further = [_population(photos, of_photos, setting, asked) for photos, of_photos in also]
    rule = _rule(compared, further, setting, asked)
    card = calibrate(compared, setting, described, rule, further)
    return card, [*_cautions(compared, further), *_useless(card)]


def _rule(
    compared: ComparedPhotos, further: Sequence[Population], setting: EvaluationConfig, asked: CalibrateOptions
) -> tuple[QualityPenalty, ...]:
    """Fit what poor photos cost, or take it from the model's card."""
    if not asked.degrade:
        return setting.embedder.card.quality_penalties
    return fit_quality_penalties(compared, setting, [each.compared for each in further])


def _also(described: PopulationFacts, asked: CalibrateOptions) -> list[tuple[Protocol, PopulationFacts]]:
    """Read the folders of further populations; raises click.UsageError where two populations have one name."""
    protocols = [read_identities(folder) for folder in asked.also]
    names = [described.name, *(protocol.name for protocol in protocols)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.UsageError(f"two populations are called {twice[0]!r}; rename a folder, or give --name to the first")
    texts = asked.also_population or [NOT_DESCRIBED] * len(protocols)
    return [(each, PopulationFacts(each.name, text)) for each, text in zip(protocols, texts, strict=True)]


def _population(
    protocol: Protocol, described: PopulationFacts, setting: EvaluationConfig, asked: CalibrateOptions
) -> Population:
    """Embed and compare further photos: which face is meant may differ, and so the file in the cache."""
    face = asked.face or protocol.face
    cache = None if asked.cache is None else open_cache(asked.cache, setting.embedder, face)
    return Population(embed_and_compare(protocol, replace(setting, face=face, cache=cache)), described)


def _cautions(compared: ComparedPhotos, further: Sequence[Population]) -> Iterator[str]:
    yield from calibration_cautions(compared)
    for each in further:
        yield from (f"{each.described.name}: {caution}" for caution in calibration_cautions(each.compared))


def _setting(protocol: Protocol, asked: CalibrateOptions) -> EvaluationConfig:
    embedder, face = load(asked.model, running=asked.running), asked.face or protocol.face
    cache = None if asked.cache is None else open_cache(asked.cache, embedder, face)
    return EvaluationConfig(embedder, face, cache, Resampling(seed=asked.seed), show_progress)


def _useless(card: ModelCard) -> Iterator[str]:
    for point in card.operating_points:
        if point.name == card.default_point and (point.fnmr or 0) > MOST_LOST:
            lost = rate_text(point.fnmr)
            yield f"the default point turns away {lost} of the genuine comparisons; check the identities"


def _as_text(card: ModelCard, out: Path) -> Iterator[str]:
    yield click.style(str(out), bold=True) + f": {card.name}, {len(card.operating_points)} operating points"
    yield from map(_penalty_as_text, card.quality_penalties)
    if not card.quality_penalties:
        yield "  no penalty for poor photos"
    yield from (_point_as_text(point, card) for point in card.operating_points)
    strictest = card.operating_points[-1]
    yield f"  {strictest.name}: {strictest.note}"  # how far the photos carry


def _penalty_as_text(penalty: QualityPenalty) -> str:
    most, first, last = penalty.penalties[0], penalty.values[0], penalty.values[-1]
    return (
        f"  poor photos cost up to {most:.3f}: from {penalty.measure} {last:.2g} down to {first:.2g} (usually "
        f"{penalty.usual:.2g}); below {penalty.min_value:.2g} they are refused"
    )


def _point_as_text(point: OperatingPoint, card: ModelCard) -> str:
    is_default = " (default)" * (point.name == card.default_point)
    fmr, fnmr = (
        rate_text(point.fmr) + interval_text(point.fmr_interval),
        rate_text(point.fnmr) + interval_text(point.fnmr_interval),
    )
    set_by = "" if point.population is None else f", set by {point.population}"
    return f"    {point.name}  below {point.threshold:.5g}: FMR {fmr}, FNMR {fnmr}{set_by}{is_default}"
