"""From which penalty on a photo is too poor to be compared: where three of four of its genuine pairs are lost."""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from .lots import Lot

LOST = 3 / 4  # of the genuine pairs; at one half more than 5% of the photos are refused that are of use yet
DIGITS = 6

Floats = NDArray[np.float64]


def floor_of(lots: Sequence[Lot], penalties: Sequence[Floats], level: float) -> float:
    """Return the penalty of both faces at which three of four genuine pairs score `level` or more.

    A logistic curve over the pairs' mean penalty: it takes few pairs, and rises once. Where no penalty seen loses
    as many, the floor is the highest seen: what is poorer than all that was measured is refused.
    """
    of_pairs = np.concatenate([lot.genuine.mean_penalties(each) for lot, each in zip(lots, penalties, strict=True)])
    is_lost = np.concatenate(
        [lot.genuine.scores_with(each) >= level for lot, each in zip(lots, penalties, strict=True)]
    )
    highest = max(float(each.max()) for each in penalties)
    found = _crossing(of_pairs, is_lost)
    return float(f"{found if 0 < found < highest else max(highest, 1.0):.{DIGITS}g}")


def _crossing(penalties: Floats, is_lost: NDArray[np.bool_]) -> float:
    """Return where a logistic curve of the share lost crosses LOST; infinity where it does not rise."""
    if is_lost.all() or not is_lost.any():
        return np.inf
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    fit.fit(penalties[:, None], is_lost)
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    return (log(LOST / (1 - LOST)) - intercept) / slope if slope > 0 else np.inf
