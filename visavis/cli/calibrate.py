"""`visavis calibrate`: measure a model's operating points and probabilities on the user's photos."""

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
MOST_LOST = 0.5  # FNMR above which the default point is reported as useless


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """The command's options, without those that locate the photos."""

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
@click.option("--name", help="The name of the photos in the card (default: the file's or folder's name).")
@click.option(
    "--population",
    default=NOT_DESCRIBED,
    show_default=True,
    help="Description of the people and of how the photos were taken: the error rates apply to such photos.",
)
@click.option(
    "--also",
    type=data_options.PATH,
    multiple=True,
    metavar="DIR",
    help="Another population, one folder per person: each point keeps its FMR on these photos too. Repeatable.",
)
@click.option(
    "--also-population",
    multiple=True,
    metavar="TEXT",
    help="Description of each --also, in the same order, as for --population.",
)
@click.option(
    "--degrade", is_flag=True, help="Also embed degraded copies of the photos, and fit a penalty for poor photos."
)
@data_options.cache_option
@data_options.seed_option
def calibrate_command(**given: Any) -> None:
    """Measure a model on photos and write a bundle whose card has the operating points fmr-1e-2 to fmr-1e-6.

    Give --identities DIR, or --pairs FILE --images DIR: every photo is compared with every other. A point is written if
    there are enough comparisons: it needs 10 false matches, so fmr-1e-4 needs 100,000 impostor comparisons (about 450
    photos). At least 20 people must have two or more photos. The weights do not change.

    With --also DIR, which can be repeated, the threshold of each point is the smallest over all populations. Photos are
    compared only within a population. A population with too few comparisons for a point does not count for that point.
    FNMR and probability are measured on the first photos only.

    With --degrade, copies of up to 2,000 of the first photos are blurred, shrunk or compressed in nine ways, and the
    card gets a penalty with which pairs of poor photos keep the FMR of each point. This needs photos of at least 100
    people. Without --degrade, a penalty in the model's card is kept.

    Exit status: 0, or 2 if the photos or the model cannot be used.
    """
    source = ProtocolOptions(**{name: given.pop(name) for name in ("pairs", "images", "identities")})
    options = CalibrateOptions(**given)
    _refuse_contradictions(options)
    require_new_folder(options.out)  # before hours are spent on the embeddings
    card, warnings = _calibrated(people_of(source.read()), source, options)
    copy_bundle(options.model, options.out, card)
    click.echo("\n".join([*_as_text(card, options.out), *(f"  caution: {each}" for each in warnings)]))


def _refuse_contradictions(options: CalibrateOptions) -> None:
    """Raise click.UsageError if options are empty or contradict each other."""
    if options.running.precision != "f32":
        raise click.UsageError(
            f"the points are measured in f32 and apply to every precision: omit --precision {options.running.precision}"
        )
    if options.name == "" or not all(text.strip() for text in (options.population, *options.also_population)):
        raise click.UsageError("--name, --population and --also-population must not be empty; set or omit them")
    if options.also_population and len(options.also_population) != len(options.also):
        raise click.UsageError(
            f"--also was given {len(options.also)} times and --also-population {len(options.also_population)} times; "
            "describe all, in the same order, or none"
        )


def _calibrated(protocol: Protocol, source: ProtocolOptions, options: CalibrateOptions) -> tuple[ModelCard, list[str]]:
    """Return the new card and the warnings."""
    described = PopulationFacts(options.name or source.name, options.population)
    also = _also(described, options)
    setting = _setting(protocol, options)
    compared = embed_and_compare(protocol, setting)
    further = [_population(photos, of_photos, setting, options) for photos, of_photos in also]
    rule = _rule(compared, further, setting, options)
    card = calibrate(compared, setting, described, rule, further)
    return card, [*_cautions(compared, further), *_useless(card)]


def _rule(
    compared: ComparedPhotos, further: Sequence[Population], setting: EvaluationConfig, options: CalibrateOptions
) -> tuple[QualityPenalty, ...]:
    """Fit the penalty for poor photos, or return that of the model's card."""
    if not options.degrade:
        return setting.embedder.card.quality_penalties
    return fit_quality_penalties(compared, setting, [each.compared for each in further])


def _also(described: PopulationFacts, options: CalibrateOptions) -> list[tuple[Protocol, PopulationFacts]]:
    """Read the folders of further populations. Raises click.UsageError if two populations have the same name."""
    protocols = [read_identities(folder) for folder in options.also]
    names = [described.name, *(protocol.name for protocol in protocols)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise click.UsageError(
            f"two populations have the name {twice[0]!r}; rename a folder, or set --name for the first"
        )
    texts = options.also_population or [NOT_DESCRIBED] * len(protocols)
    return [(each, PopulationFacts(each.name, text)) for each, text in zip(protocols, texts, strict=True)]


def _population(
    protocol: Protocol, described: PopulationFacts, setting: EvaluationConfig, options: CalibrateOptions
) -> Population:
    """Embed and compare a further population, whose face rule and hence cache file may differ."""
    face = options.face or protocol.face
    cache = None if options.cache is None else open_cache(options.cache, setting.embedder, face)
    return Population(embed_and_compare(protocol, replace(setting, face=face, cache=cache)), described)


def _cautions(compared: ComparedPhotos, further: Sequence[Population]) -> Iterator[str]:
    yield from calibration_cautions(compared)
    for each in further:
        yield from (f"{each.described.name}: {caution}" for caution in calibration_cautions(each.compared))


def _setting(protocol: Protocol, options: CalibrateOptions) -> EvaluationConfig:
    embedder, face = load(options.model, running=options.running), options.face or protocol.face
    cache = None if options.cache is None else open_cache(options.cache, embedder, face)
    return EvaluationConfig(embedder, face, cache, Resampling(seed=options.seed), show_progress)


def _useless(card: ModelCard) -> Iterator[str]:
    for point in card.operating_points:
        if point.name == card.default_point and (point.fnmr or 0) > MOST_LOST:
            lost = rate_text(point.fnmr)
            yield f"the default point rejects {lost} of the genuine comparisons; check the identities"


def _as_text(card: ModelCard, out: Path) -> Iterator[str]:
    yield click.style(str(out), bold=True) + f": {card.name}, {len(card.operating_points)} operating points"
    yield from map(_penalty_as_text, card.quality_penalties)
    if not card.quality_penalties:
        yield "  no penalty for poor photos"
    yield from (_point_as_text(point, card) for point in card.operating_points)
    strictest = card.operating_points[-1]
    yield f"  {strictest.name}: {strictest.note}"  # the limit of these photos


def _penalty_as_text(penalty: QualityPenalty) -> str:
    most, first, last = penalty.penalties[0], penalty.values[0], penalty.values[-1]
    return (
        f"  penalty for poor photos up to {most:.3f}: from {penalty.measure} {last:.2g} down to {first:.2g} (median "
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
