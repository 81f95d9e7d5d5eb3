"""Paired comparison of two models, or of two kinds of scores of one model, on the same comparisons.

Both are resampled with the same identities, so that the difficulty of the data cancels out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .evaluation import EvaluationResult
from .measure import MIN_PAIRS, difference_of
from .metrics import Floats
from .results import Accuracy, Estimate, Evaluation
from .thresholds import accuracies


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """A figure of the first model minus that of the second."""

    figure: str
    first: float
    second: float
    difference: Estimate
    p_value: float | None  # two-sided: twice the share of resamples beyond 0, or its upper bound; None = few people


@dataclass(frozen=True, slots=True, eq=False)
class ModelComparison:
    """Two models side by side."""

    first: Evaluation
    second: Evaluation
    differences: tuple[FigureDifference, ...]
    of_folds: Accuracy | None  # the accuracies' difference over the same folds: mean and standard error


def compare_models(first: EvaluationResult, second: EvaluationResult) -> ModelComparison:
    """Compare two evaluations of the same protocol with the same seed. Raises ValueError for others.

    They may also be of one model, with and without penalties for poor photos.
    """
    if first.found.data.digest != second.found.data.digest or first.found.resampling != second.found.resampling:
        raise ValueError("the two evaluations have different data or resamples, so their figures are not paired")
    differences = tuple(_difference(first, second, figure) for figure in _paired(first, second))
    return ModelComparison(first.found, second.found, differences, _fold_difference(first, second))


def _paired(first: EvaluationResult, second: EvaluationResult) -> Iterator[tuple[str, str, int, int]]:
    """Yield each figure that both have: its name, where it is measured, and the pairs of people behind it."""
    genuine, impostor = (
        min(getattr(each.compared.scores, kind).n_pairs for each in (first, second)) for kind in ("genuine", "impostor")
    )
    yield "EER", "eer", 0, min(genuine, impostor)
    yield "FMR at the threshold", "fmr", 0, impostor
    yield "FNMR at the threshold", "fnmr", 0, genuine
    if first.found.figures.accuracy is not None:
        yield "accuracy", "accuracy", 0, genuine + impostor
    stated = zip(first.found.figures.tar_at_fmr, second.found.figures.tar_at_fmr, strict=True)
    for k, (one, other) in enumerate(stated):
        if one.threshold is not None and other.threshold is not None:
            yield f"TAR at FMR {one.fmr:g}", "tar", k, genuine


def _difference(
    first: EvaluationResult, second: EvaluationResult, figure: tuple[str, str, int, int]
) -> FigureDifference:
    name, key, k, n_pairs = figure
    one, other = first.measured[key], second.measured[key]
    return FigureDifference(
        figure=name,
        first=float(one.values[k]),
        second=float(other.values[k]),
        difference=difference_of(one, other, k, n_pairs),
        p_value=_p_value(one.draws[:, k] - other.draws[:, k]) if n_pairs >= MIN_PAIRS else None,
    )


def _p_value(draws: Floats) -> float | None:
    """Return the two-sided p-value of a difference of 0; None if half of the resamples or more are undefined."""
    known = draws[~np.isnan(draws)]
    if len(known) <= len(draws) / 2:
        return None
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(known) + 1))


def _fold_difference(first: EvaluationResult, second: EvaluationResult) -> Accuracy | None:
    of_folds = [_fold_accuracies(evaluated) for evaluated in (first, second)]
    if of_folds[0] is None or of_folds[1] is None:
        return None
    differences = of_folds[0] - of_folds[1]
    return Accuracy(float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences))), None)


def _fold_accuracies(evaluated: EvaluationResult) -> Floats | None:
    listed, thresholds = evaluated.compared.listed, evaluated.decision.of_comparison
    if listed is None or listed.pairs.fold is None or thresholds is None:
        return None
    return accuracies(listed, listed.pairs.fold, thresholds, failures_count=False)
