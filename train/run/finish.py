"""The end of a run: write the bundle, calibrate it on people held out, and evaluate it."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from embedder import (
    FaceChoice,
    ModelCard,
    Pixels,
    QualityPenalty,
    copy_bundle,
    load,
    show_progress,
    write_bundle,
)

from ..data.prepared import PreparedData
from ..evaluation.bootstrap import Resampling
from ..evaluation.calibration import PopulationFacts, calibrate
from ..evaluation.compared import ComparedPhotos, compare_photos
from ..evaluation.evaluation import EvaluationConfig, evaluate_compared
from ..evaluation.protocols.protocol import LabeledPhoto, Protocol, ProtocolError
from ..evaluation.quality_penalty import fit_quality_penalties
from ..evaluation.report.write import write_report
from ..evaluation.results import Estimate, Evaluation, estimated
from ..evaluation.scoring import scoring_of
from ..evaluation.text import evaluation_text
from ..run_file import RunFile
from .folder import RunFolder
from .people import TrainingPeople, embedded_chips, protocol_of


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedCard:
    """A model card with operating points."""

    card: ModelCard
    notes: tuple[str, ...]  # reasons for missing measurements


def calibrate_held_out(
    compared: ComparedPhotos, setting: EvaluationConfig, described: PopulationFacts, *, degrade: bool
) -> CalibratedCard:
    """Measure operating points on people held out; with `degrade`, fit the penalty for poor photos if possible.

    The penalty needs the original photos at the paths that they were prepared from. Raises CacheError.
    """
    notes: list[str] = []
    rule: tuple[QualityPenalty, ...] = ()
    if degrade:
        try:
            require_photos(compared.protocol.photos)
            rule = fit_quality_penalties(compared, setting)
        except ProtocolError as error:
            notes.append(f"no penalty for poor photos: {error}")
    try:
        card = calibrate(compared, setting, described, rule)
    except ProtocolError as error:
        return CalibratedCard(setting.embedder.card, (*notes, f"no operating points: {error}"))
    return CalibratedCard(card, tuple(notes))


def require_photos(photos: tuple[LabeledPhoto, ...]) -> None:
    """Raise ProtocolError if photos no longer exist at the paths that they were prepared from."""
    missing = sum(not photo.path.is_file() for photo in photos)
    if missing:
        raise ProtocolError(
            f"{missing:,} of {len(photos):,} photos no longer exist at the paths that they were prepared from; the "
            "penalty is measured on degraded copies of them. Restore them and run visavis calibrate --degrade"
        )


NOT_IMPROVED = "training has not improved the model: its weights are those before the first step"
CHANCE_EER = 0.5  # of distances that say nothing about the person
SAME_PEOPLE = (
    "the operating points and the figures above were measured on the people held out, who may also have decided which "
    "weights were kept; "
    "evaluate the model on other people with visavis evaluate"
)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedWeights:
    """Trained weights, card and graph, ready for a bundle."""

    card: ModelCard  # not calibrated yet
    content: bytes  # of the weights file
    graph: bytes  # of the exported network


@dataclass(frozen=True, slots=True)
class ValidatedEers:
    """The EER of comparing all chips of the people held out, as in validation.csv."""

    first: float | None  # before the first step; None if it is not known
    kept: float  # of the weights in the bundle
    kept_step: int  # completed steps when these were validated


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """A finished run."""

    bundle: Path
    text: str  # of the evaluation
    notes: tuple[str, ...]  # people and images left out, missing measurements, cautions
    failure: str | None  # how the model is worse than it began, or no better than chance; None if it is neither


def failure_of(eers: ValidatedEers, found: Estimate) -> str | None:
    """Describe how a model is useless by its EERs in validation and by `found`, that of its evaluation; else None."""
    reaches_chance = found.interval is not None and found.interval[1] >= CHANCE_EER
    if eers.kept >= CHANCE_EER or (reaches_chance and eers.kept >= CHANCE_EER / 2):  # few people: a wide interval
        return f"it is no better than chance: its EER on the people held out is {estimated(found)}"
    if eers.first is not None and eers.kept > eers.first:
        rose = f"from {100 * eers.first:.3g}% to {100 * eers.kept:.3g}%"
        return f"it is worse than it began: in validation, the EER on the people held out rose {rose}"
    return None


def finish_run(
    folder: RunFolder, run: RunFile, weights: TrainedWeights, people: TrainingPeople, eers: ValidatedEers
) -> RunResult:
    """Write RUN/bundle, calibrated on people held out, and RUN/report. Raises BundleError and ReportError."""
    uncalibrated = folder.path / "uncalibrated"
    shutil.rmtree(uncalibrated, ignore_errors=True)  # left by a run that was interrupted here
    write_bundle(uncalibrated, weights.card, weights.content, graph=weights.graph)
    compared, setting = _compared(uncalibrated, run, people)
    described = PopulationFacts(compared.protocol.name, run.bundle.trained_on)
    found = calibrate_held_out(compared, setting, described, degrade=run.bundle.degrade)
    unfinished = folder.path / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    copy_bundle(uncalibrated, unfinished, found.card)
    evaluation = _report(folder, unfinished, compared, run, people)
    unfinished.rename(folder.bundle)  # last: a run counts as finished once its bundle exists
    shutil.rmtree(uncalibrated, ignore_errors=True)
    notes = (*people.left_out, *found.notes, *[NOT_IMPROVED] * (eers.kept_step == 0), SAME_PEOPLE)
    failure = failure_of(eers, evaluation.figures.eer)
    return RunResult(folder.bundle, evaluation_text(evaluation), notes, failure)


def _compared(bundle: Path, run: RunFile, people: TrainingPeople) -> tuple[ComparedPhotos, EvaluationConfig]:
    held_out = people.held_out
    setting = _setting(bundle, run, held_out.data.face)
    protocol = protocol_of(held_out.data, held_out.positions, f"people held out of {held_out.data.folder.name}")
    embedded = embedded_chips(held_out.data, held_out.positions, setting.embedder)
    return compare_photos(protocol, embedded, seed=setting.resampling.seed), setting


def _setting(bundle: Path, run: RunFile, face: FaceChoice) -> EvaluationConfig:
    return EvaluationConfig(load(bundle), face, resampling=Resampling(seed=run.seed), progress=show_progress)


def _report(
    folder: RunFolder, bundle: Path, compared: ComparedPhotos, run: RunFile, people: TrainingPeople
) -> Evaluation:
    """Evaluate the bundle as `visavis evaluate` does, at the thresholds of its card."""
    setting = _setting(bundle, run, compared.protocol.face)
    card = setting.embedder.card
    scoring = scoring_of(setting.embedder, compared.embedded, card.score_kind)
    scored = compare_photos(compared.protocol, compared.embedded, seed=setting.resampling.seed, scoring=scoring)
    found = evaluate_compared(scored, setting, None if card.operating_points else "best").found
    write_report(
        folder.report, found, partial(_chip, people.held_out.data, _places(compared.protocol, people)), _command()
    )
    return found


def _places(protocol: Protocol, people: TrainingPeople) -> dict[str, int]:
    """Map each photo's name to the position of its chip."""
    return {photo.name: int(k) for photo, k in zip(protocol.photos, people.held_out.positions, strict=True)}


def _chip(data: PreparedData, places: dict[str, int], photo: LabeledPhoto) -> Pixels:
    pixels: Pixels = data.chips([places[photo.name]])[0]
    return pixels


def _command() -> str:
    return shlex.join(["visavis", *sys.argv[1:]])
