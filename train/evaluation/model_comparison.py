"""Paired comparison of two models, or of two kinds of scores of one model, on the same comparisons.

Both are resampled with the same identities, so that the difficulty of the data cancels out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .bootstrap import interval
from .evaluation import EvaluationResult
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
    p_value: float | None  # two-sided: twice the share of resamples on the other side of 0, or its upper bound


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
    differences = tuple(_difference(*figure) for figure in _paired(first, second))
    return ModelComparison(first.found, second.found, differences, _fold_difference(first, second))


def _paired(
    first: EvaluationResult, second: EvaluationResult
) -> Iterator[tuple[str, tuple[float, Floats], tuple[float, Floats]]]:
    """Yield each figure that both have, with its value and its draws."""
    names = {"eer": "EER", "fmr": "FMR at the threshold", "fnmr": "FNMR at the threshold"}
    if first.found.figures.accuracy is not None:
        names["accuracy"] = "accuracy"
    for key, name in names.items():
        yield name, _column(first, key, 0), _column(second, key, 0)
    stated = zip(first.found.figures.tar_at_fmr, second.found.figures.tar_at_fmr, strict=True)
    for k, (one, other) in enumerate(stated):
        if one.threshold is not None and other.threshold is not None:
            yield f"TAR at FMR {one.fmr:g}", _column(first, "tar", k), _column(second, "tar", k)


def _column(evaluated: EvaluationResult, key: str, k: int) -> tuple[float, Floats]:
    measured = evaluated.measured[key]
    return float(measured.values[k]), measured.draws[:, k]


def _difference(figure: str, first: tuple[float, Floats], second: tuple[float, Floats]) -> FigureDifference:
    draws = first[1] - second[1]
    known = draws[~np.isnan(draws)]
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    between = interval(draws)
    p_value = None if between is None else min(1.0, 2 * (tail + 1) / (len(known) + 1))
    return FigureDifference(figure, first[0], second[0], Estimate(first[0] - second[0], between), p_value)


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
