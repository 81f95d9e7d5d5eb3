"""Build the records of an evaluation from measured figures: rates with intervals, or None for too little data."""

from collections.abc import Sequence

import numpy as np

from embedder import ModelCard, OperatingPoint

from . import metrics
from .bootstrap import Resampling, interval
from .compared import ComparedPhotos
from .evidence import cllr, reliability
from .measure import AccuracyAt, Cllr, FmrAt, FnmrAt, Measurement, Statistic, TarAt, eer, measure
from .metrics import ROUNDING, Floats, ScoreDistribution
from .results import Accuracy, ClaimCheck, DetCurve, Estimate, Evidence, Figures, ScoreHistogram, TarAtFmr
from .scores import ScoreSet
from .thresholds import Decision, accuracies

CURVE_FMRS = tuple(float(rate) for rate in np.geomspace(1e-6, 0.5, 58))
N_HISTOGRAM_BINS = 120

Measurements = dict[str, Measurement]


def measurements(compared: ComparedPhotos, decision: Decision, card: ModelCard, resampling: Resampling) -> Measurements:
    """Measure all figures of an evaluation, with as few bootstraps as possible."""
    scores = compared.scores
    of_scores: dict[str, Statistic] = {"eer": eer, "tar": TarAt(metrics.FMR_TARGETS), "curve": TarAt(CURVE_FMRS)}
    of_scores |= _claimed(card.operating_points)
    if card.ratio is not None:
        of_scores["cllr"] = Cllr(card.ratio)
    at = decision.at
    of_decision: dict[str, Statistic] = {"accuracy": AccuracyAt(at), "fmr": FmrAt((at,)), "fnmr": FnmrAt((at,))}
    if decision.scores is scores:
        return measure(scores, of_scores | of_decision, resampling)
    return measure(scores, of_scores, resampling) | measure(decision.scores, of_decision, resampling)


def _claimed(points: Sequence[OperatingPoint]) -> dict[str, Statistic]:
    thresholds = tuple(point.threshold for point in points)
    return {"claimed_fmr": FmrAt(thresholds), "claimed_fnmr": FnmrAt(thresholds)}


def figures(compared: ComparedPhotos, decision: Decision, measured: Measurements) -> Figures:
    """Return the error rates of the comparisons that could be made."""
    genuine, impostor = compared.scores.genuine, compared.scores.impostor
    return Figures(
        accuracy=_accuracy(compared, decision, measured["accuracy"], failures_count=False),
        eer=measured["eer"].rate(0, min(genuine.n_pairs, impostor.n_pairs)),
        fmr=measured["fmr"].rate(0, impostor.n_pairs),
        fnmr=measured["fnmr"].rate(0, genuine.n_pairs),
        tar_at_fmr=tuple(
            _tar(impostor.tally, fmr, measured["tar"].rate(k, genuine.n_pairs))
            for k, fmr in enumerate(metrics.FMR_TARGETS)
        ),
        n_genuine=round(genuine.tally.n),
        n_impostor=round(impostor.tally.n),
    )


def figures_with_failures(compared: ComparedPhotos, decision: Decision) -> Figures:
    """Return the error rates with failures to acquire counted as non-matches; without intervals."""
    kinds = compared.scores.genuine, compared.scores.impostor
    genuine, impostor = (kind.tally.and_never(kind.n_failed) for kind in kinds)
    decided = decision.scores.genuine, decision.scores.impostor
    decided_genuine, decided_impostor = (kind.tally.and_never(kind.n_failed) for kind in decided)
    return Figures(
        accuracy=_accuracy(compared, decision, None, failures_count=True),
        eer=_bare(metrics.eer(genuine, impostor)),
        fmr=_bare(metrics.fmr(decided_impostor, decision.at)),
        fnmr=_bare(metrics.fnmr(decided_genuine, decision.at)),
        tar_at_fmr=tuple(
            _tar(impostor, fmr, _bare(metrics.tar_at_fmr(genuine, impostor, fmr))) for fmr in metrics.FMR_TARGETS
        ),
        n_genuine=round(genuine.n),
        n_impostor=round(impostor.n),
    )


def claims(compared: ComparedPhotos, card: ModelCard, measured: Measurements) -> tuple[ClaimCheck, ...]:
    """Return each operating point of the card with the rates measured at its threshold."""
    kind = compared.scoring.kind
    fmr, fnmr = measured["claimed_fmr"], measured["claimed_fnmr"]
    genuine, impostor = compared.scores.genuine.n_pairs, compared.scores.impostor.n_pairs
    return tuple(
        ClaimCheck(point, fmr.rate(k, impostor), fnmr.rate(k, genuine), kind, _is_carried(compared, point))
        for k, point in enumerate(card.operating_points)
    )


def _is_carried(compared: ComparedPhotos, point: OperatingPoint) -> bool:
    return point.fmr is not None and metrics.has_enough_impostors(compared.scores.impostor.tally, point.fmr)


def evidence_of(compared: ComparedPhotos, card: ModelCard, measured: Measurements) -> Evidence | None:
    """Measure the calibration of the card's probabilities; None if it has none."""
    ratio = card.ratio
    if ratio is None:
        return None
    genuine, impostor = compared.scores.genuine.tally, compared.scores.impostor.tally
    found = reliability(genuine, impostor, ratio)
    cost = Estimate(cllr(genuine, impostor, ratio), measured["cllr"].estimate().interval)
    return Evidence(cost, found.ece, found)


def curve(compared: ComparedPhotos, measured: Measurements) -> DetCurve:
    """Return the DET curve at FMRs with enough impostor comparisons."""
    genuine, impostor = compared.scores.genuine.tally, compared.scores.impostor.tally
    stated = [k for k, fmr in enumerate(CURVE_FMRS) if metrics.has_enough_impostors(impostor, fmr)]
    fmrs = np.array(CURVE_FMRS)[stated]
    roc = metrics.roc(genuine, impostor)
    tars = roc.tar[np.searchsorted(roc.fmr, fmrs * (1 + ROUNDING), side="right") - 1]
    bands = [interval(1 - measured["curve"].draws[:, k]) or (np.nan, np.nan) for k in stated]
    low, high = np.array(bands, np.float64).reshape(-1, 2).T
    return DetCurve(fmrs, 1 - tars, low, high)


def histogram(scores: ScoreSet) -> ScoreHistogram:
    """Count both kinds of comparisons over the whole range of scores, from 0."""
    tallies = scores.genuine.tally, scores.impostor.tally
    highest = max(float(tally.values[-1]) for tally in tallies)
    edges = np.linspace(0.0, np.nextafter(highest, np.inf), N_HISTOGRAM_BINS + 1)
    return ScoreHistogram(edges, *(np.diff(tally.below(edges)) for tally in tallies))


def _accuracy(
    compared: ComparedPhotos, decision: Decision, measured: Measurement | None, *, failures_count: bool
) -> Accuracy | None:
    listed = compared.listed
    if listed is None:
        return None
    thresholds = np.full(len(listed.values), decision.threshold.value)
    fold = np.zeros(len(thresholds), np.int32)
    if decision.of_comparison is not None and listed.pairs.fold is not None:
        thresholds, fold = decision.of_comparison, listed.pairs.fold
    of_folds = accuracies(listed, fold, thresholds, failures_count=failures_count)
    n = len(thresholds) if failures_count else int((~np.isnan(listed.values)).sum())
    n_pairs = compared.scores.genuine.n_pairs + compared.scores.impostor.n_pairs
    between = measured.rate(0, n_pairs).interval if measured is not None else None
    return Accuracy(float(of_folds.mean()), _standard_error(of_folds, n), between)


def _standard_error(of_folds: Floats, n: int) -> float:
    """Return the standard error of the mean over folds; without folds, of a share of n comparisons."""
    if len(of_folds) > 1:
        return float(of_folds.std(ddof=1) / np.sqrt(len(of_folds)))
    share = float(of_folds[0])
    return float(np.sqrt(share * (1 - share) / n))


def _tar(impostor: ScoreDistribution, fmr: float, found: Estimate) -> TarAtFmr:
    if not metrics.has_enough_impostors(impostor, fmr):
        return TarAtFmr(fmr, Estimate(None, None), None, None)
    threshold = metrics.threshold_at_fmr(impostor, fmr)
    return TarAtFmr(fmr, found, threshold, round(float(impostor.below(threshold))))


def _bare(value: float) -> Estimate:
    return Estimate(None if np.isnan(value) else value, None)
