"""Thresholds chosen on the other folds, and what they decide: the way of LFW's View 2."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .listed import ListedScores, tallies
from .metrics import best_threshold
from .protocols.protocol import ProtocolError
from .tally import Floats


@dataclass(frozen=True, slots=True, eq=False)
class FoldDecisions:
    """What each fold was decided by, and how well."""

    thresholds: Floats  # (f,) each chosen on all folds but its own, by accuracy
    of_comparison: Floats  # (n,) the threshold of each comparison's fold


def choose_on_other_folds(listed: ListedScores, fold: NDArray[np.int32]) -> FoldDecisions:
    """Choose a threshold for each fold by the accuracy on the others; failures to acquire take no part in it."""
    numbers, position = np.unique(fold, return_inverse=True)
    thresholds = np.array([_best(listed, fold != number) for number in numbers])
    return FoldDecisions(thresholds, thresholds[position])


def accuracies(listed: ListedScores, fold: NDArray[np.int32], thresholds: Floats, *, failures_count: bool) -> Floats:
    """Accuracy of each fold: (f,); comparisons (n,) are decided by thresholds (n,)."""
    failed = np.isnan(listed.values)
    right = ~failed & ((listed.values < thresholds) == listed.pairs.same)
    right |= failed & ~listed.pairs.same  # a face that was not found matches nobody
    counted = np.ones_like(failed) if failures_count else ~failed
    return np.array([right[counted & (fold == number)].mean() for number in np.unique(fold[counted])])


def _best(listed: ListedScores, chosen: NDArray[np.bool_]) -> float:
    genuine, impostor = tallies(listed, chosen)
    if not (genuine.n and impostor.n):
        raise ProtocolError("a fold's threshold is chosen on the other ones, which lack a kind of comparison")
    return best_threshold(genuine, impostor)
