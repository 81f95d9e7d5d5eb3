"""`visavis evaluate`: measure a model's error rates on photos."""

import json
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from embedder import FaceChoice, ModelCard, Pixels, QualityChoice, RuntimeOptions, ScoreKind, load, show_progress
from train import (
    DecisionThreshold,
    EvaluationConfig,
    EvaluationOutput,
    EvaluationResult,
    GroupReport,
    LabeledPhoto,
    NamedThreshold,
    PhotoGroups,
    Protocol,
    Resampling,
    ThresholdChoice,
    best_of,
    compare_groups,
    compare_models,
    embed_and_compare,
    evaluate_compared,
    open_cache,
    read_photo_groups,
    require_choice,
    require_folder,
    require_quality_penalty,
    write_report,
)

from . import data_options
from .data_options import ProtocolOptions
from .options import running_options


class ThresholdType(click.ParamType[ThresholdChoice]):
    """card, best, folds, or a number."""

    name = "threshold"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ThresholdChoice:
        """Convert the value; any other one is a usage error."""
        if value in get_args(NamedThreshold):
            named: NamedThreshold = value
            return named
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.fail(f"{value!r} is not card, best, folds or a number greater than 0", param, ctx)
        return number


class ScoresType(click.Choice[str]):
    """normalized or plain; own is the former name of normalized."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Convert the value, with a warning on stderr for the former name."""
        if value == "own":
            click.echo("warning: --scores own is now --scores normalized; the former name will be removed", err=True)
            value = "normalized"
        return super().convert(value, param, ctx)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """The command's options, without those that locate the photos."""

    threshold: ThresholdChoice
    threshold_pairs: Path | None
    scores: ScoreKind | None
    quality: QualityChoice
    face: FaceChoice | None
    model: str | None
    running: RuntimeOptions
    against: str | None
    mirror: bool | None
    groups: Path | None
    identification: bool
    templates: int | None
    report: Path | None
    cache: Path | None
    seed: int
    as_json: bool


@click.command(name="evaluate")
@data_options.pairs_option
@data_options.images_option
@click.option(
    "--protocol", type=click.Choice(["cfp-ff", "cfp-fp"]), help="CFP; --images contains its Data/ and Protocol/."
)
@click.option(
    "--csv", type=data_options.PATH, metavar="FILE", help="Pairs as probe,reference,same; commas, tabs or blanks."
)
@data_options.identities_option
@click.option(
    "--threshold",
    type=ThresholdType(),
    metavar="card|best|folds|NUMBER",
    help="The threshold (folds if the protocol has them, else the card's default point); best: the highest accuracy, "
    "or the smallest FMR + FNMR if all photos are compared with all.",
)
@click.option(
    "--threshold-pairs",
    type=data_options.PATH,
    metavar="FILE",
    help="Choose the threshold on these pairs (LFW's format, photos in --images).",
)
@click.option(
    "--scores",
    type=ScoresType(["normalized", "plain"]),
    help="The distances to compare with a threshold: normalised ones include the penalty for poor photos, plain ones "
    "do not (normalized if the model's card has a penalty; plain with --threshold NUMBER, which is a plain distance).",
)
@click.option(
    "--quality",
    type=click.Choice(["refuse", "ignore"]),
    default="ignore",
    show_default=True,
    help="refuse: exclude photos that verify would refuse for low quality, and count them separately.",
)
@data_options.face_option
@data_options.model_option
@running_options
@click.option(
    "--against", metavar="MODEL", help="A second model to compare with, with the significance of each difference."
)
@click.option(
    "--mirror/--no-mirror",
    default=None,
    help="Whether to average each chip's embedding with that of its mirror image (default: as in the card).",
)
@click.option(
    "--groups",
    type=data_options.PATH,
    metavar="FILE",
    help="Error rates by group: a CSV of image,group or identity,group.",
)
@click.option(
    "--identification",
    is_flag=True,
    help="Also search galleries of 10, 100, 1,000, ... of these people: how often somebody who is not in a gallery is "
    "identified (FPIR), and how often somebody who is in it is not (FNIR).",
)
@click.option(
    "--templates",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --identification: how many photos of a person are enrolled at most (1).",
)
@click.option(
    "--report", type=data_options.PATH, metavar="DIR", help="Write a page with plots to this folder; it shows faces."
)
@data_options.cache_option
@data_options.seed_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate_command(**given: Any) -> None:
    """Measure a model's error rates with 95% intervals, on your own photos or a public protocol.

    Give one of --pairs FILE --images DIR, --protocol NAME --images DIR, --csv FILE, or --identities DIR.

    Exit status: 0, or 2 if the photos or the model cannot be used.
    """
    source = ProtocolOptions(**{name: given.pop(name) for name in ("pairs", "images", "protocol", "csv", "identities")})
    options = EvaluateOptions(**given)
    if options.threshold is not None and options.threshold_pairs is not None:
        raise click.UsageError("give --threshold or --threshold-pairs, not both: each sets the threshold")
    if isinstance(options.threshold, float) and options.scores == "normalized":
        raise click.UsageError(
            f"--threshold {options.threshold:g} is a plain distance, so it needs --scores plain; "
            "with --scores normalized use card, best or folds"
        )
    if options.templates is not None and not options.identification:
        raise click.UsageError("--templates is the number of photos that --identification enrols; add --identification")
    tuning = None if options.threshold_pairs is None else source.tuning(options.threshold_pairs)
    _run(source.read(), tuning, options)


def _run(protocol: Protocol, tuning: Protocol | None, options: EvaluateOptions) -> None:
    models = [options.model] if options.against is None else [options.model, options.against]
    settings = [_setting(model, protocol, options) for model in models]
    labels = None if options.groups is None else read_photo_groups(options.groups, protocol)
    _refuse_early(protocol, tuning, settings, options)
    evaluated = [_evaluate(protocol, tuning, setting, options.threshold) for setting in settings]
    versus = None if options.against is None else compare_models(*evaluated)
    groups = None if labels is None else _by_group(evaluated[0], labels)
    answer = EvaluationOutput(evaluated[0].found, versus, groups)
    if options.report is not None:
        chips = partial(_chip, settings[0])
        write_report(options.report, answer.found, chips, shlex.join(_command()), versus=versus, groups=groups)
    click.echo(json.dumps(answer.record(), indent=2) if options.as_json else answer.text())


def _refuse_early(
    protocol: Protocol, tuning: Protocol | None, settings: list[EvaluationConfig], options: EvaluateOptions
) -> None:
    """Refuse impossible options before hours are spent on the embeddings."""
    has_folds = protocol.pairs is not None and protocol.pairs.fold is not None
    for setting in settings:
        card = setting.embedder.card
        require_quality_penalty(card, setting.score_kind, setting.quality)
        if tuning is None:
            require_choice(options.threshold, has_folds=has_folds, card=card)
    if options.report is not None:
        require_folder(options.report)


def _by_group(evaluated: EvaluationResult, groups: PhotoGroups) -> GroupReport:
    found, scores = evaluated.found, evaluated.compared.scores
    return compare_groups(scores, groups, found.threshold.value, found.resampling)


def _chip(setting: EvaluationConfig, photo: LabeledPhoto) -> Pixels:
    """Cut the chip of a photo again, because chips are not kept."""
    return setting.embedder.chip(photo.path.read_bytes(), face=setting.face).pixels


def _command() -> list[str]:
    """Return the command line, for the report."""
    return ["visavis", *sys.argv[1:]]


def _setting(model: str | None, protocol: Protocol, options: EvaluateOptions) -> EvaluationConfig:
    embedder = load(model, mirror=options.mirror, running=options.running)
    face = options.face or protocol.face
    cache = None if options.cache is None else open_cache(options.cache, embedder, face)
    scores = _scores(options, embedder.card)
    return EvaluationConfig(
        embedder, face, cache, Resampling(seed=options.seed), show_progress,
        score_kind=scores, quality=options.quality, templates_per_person=_templates(options),
    )  # fmt: skip


def _templates(options: EvaluateOptions) -> int | None:
    """Return the number of photos to enrol of each person; None if identification is not asked for."""
    return (options.templates or 1) if options.identification else None


def _scores(options: EvaluateOptions, card: ModelCard) -> ScoreKind:
    """Return --scores, else plain for a threshold that is a number, else the card's kind."""
    return options.scores or ("plain" if isinstance(options.threshold, float) else card.score_kind)


def _evaluate(
    protocol: Protocol, tuning: Protocol | None, setting: EvaluationConfig, choice: ThresholdChoice
) -> EvaluationResult:
    threshold: ThresholdChoice | DecisionThreshold = choice
    if tuning is not None:
        threshold = DecisionThreshold(best_of(embed_and_compare(tuning, setting).scores), "pairs")
    return evaluate_compared(embed_and_compare(protocol, setting), setting, threshold)
