"""Error rates of score histograms: FMR, FNMR, accuracy, EER, TAR at an FMR, ROC.

Genuine and impostor comparisons are a `ScoreDistribution` each; a comparison matches if its score is below the
threshold. Terms as in ISO/IEC 19795-1.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
ROUNDING = 1e-12  # tolerance of `rate * n`, so that 0.001 of 1,000 is 1


@dataclass(frozen=True, slots=True, eq=False)
class ScoreDistribution:
    """Scores in ascending order, with cumulative counts of comparisons.

    A score of infinity is a comparison that matches at no threshold.
    """

    values: Floats  # (k,) ascending; may repeat
    cumulative: Floats  # (k + 1,) comparisons before each value; the last is the total

    @classmethod
    def of(cls, scores: ArrayLike) -> Self:
        """Count each score once: (n,), in any order."""
        values = np.sort(np.asarray(scores, np.float64))
        return cls.weighted(values, np.ones(len(values)))

    @classmethod
    def weighted(cls, values: Floats, weights: ArrayLike) -> Self:
        """Count ascending scores (k,) with weights (k,)."""
        cumulative = np.empty(len(values) + 1)
        cumulative[0] = 0
        np.cumsum(weights, out=cumulative[1:])
        return cls(values, cumulative)

    @property
    def n(self) -> float:
        """The number of comparisons; may be fractional because of weights."""
        return float(self.cumulative[-1])

    def below(self, threshold: ArrayLike) -> Floats:
        """Return the number of comparisons below each threshold: the shape of `threshold`."""
        return self.cumulative[np.searchsorted(self.values, threshold, side="left")]

    def share_below(self, threshold: ArrayLike) -> Floats:
        """Return the share of comparisons below each threshold; NaN if there are none."""
        n = self.n
        return self.below(threshold) / n if n else np.full(np.shape(threshold), np.nan)

    def loosest(self, share: ArrayLike) -> Floats:
        """Return the largest score, or infinity, such that at most this share of the comparisons is below it."""
        most = np.asarray(share) * self.n * (1 + ROUNDING)
        last = np.searchsorted(self.cumulative, most, side="right") - 1
        inside = np.minimum(last, len(self.values) - 1)
        return (
            np.where(last == inside, self.values[inside], np.inf) if len(self.values) else np.full(last.shape, np.inf)
        )

    def and_never(self, n: float) -> "ScoreDistribution":
        """Return a copy with `n` more comparisons that match at no threshold."""
        values = np.append(self.values, np.inf)
        return ScoreDistribution(values, np.append(self.cumulative, self.n + n))


FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
MIN_FALSE_MATCHES = 10  # expected at an FMR, for a rate there to be stated


@dataclass(frozen=True, slots=True, eq=False)
class Roc:
    """The rates at every threshold, strictest first."""

    thresholds: Floats  # (k,) ascending; the last is infinity, which accepts every finite score
    fmr: Floats  # (k,)
    tar: Floats  # (k,) 1 - FNMR


def fmr(impostor: ScoreDistribution, threshold: float) -> float:
    """Return the share of impostor comparisons that match."""
    return float(impostor.share_below(threshold))


def fnmr(genuine: ScoreDistribution, threshold: float) -> float:
    """Return the share of genuine comparisons that do not match."""
    return 1 - float(genuine.share_below(threshold))


def accuracy(genuine: ScoreDistribution, impostor: ScoreDistribution, threshold: float) -> float:
    """Return the share of correct decisions; NaN without comparisons."""
    right = float(genuine.below(threshold)) + impostor.n - float(impostor.below(threshold))
    n = genuine.n + impostor.n
    return right / n if n else float("nan")


def best_threshold(genuine: ScoreDistribution, impostor: ScoreDistribution) -> float:
    """Return the threshold of the highest accuracy, midway between two scores; of equally good ones, the middle one."""
    values = np.unique(np.concatenate([genuine.values, impostor.values]))
    finite = values[np.isfinite(values)]
    cuts = np.concatenate([finite, [np.inf]])  # everything below a cut matches
    right = genuine.below(cuts) - impostor.below(cuts)
    best = np.flatnonzero(right == right.max())
    return _midway(finite, int(best[len(best) // 2]))


def _midway(values: Floats, cut: int) -> float:
    """Return the midpoint of the values at `cut` and before it; at either end, a value just outside."""
    if cut == 0:
        return float(values[0])
    if cut == len(values):
        return float(np.nextafter(values[-1], np.inf))
    return float((values[cut - 1] + values[cut]) / 2)


def eer(genuine: ScoreDistribution, impostor: ScoreDistribution) -> float:
    """Return the rate at which FMR = FNMR, by linear interpolation between the two nearest thresholds.

    NaN if they are never equal: a kind has no comparisons, or FNMR exceeds FMR at every threshold.
    """
    if not (genuine.n and impostor.n):
        return float("nan")

    def gap(threshold: float) -> float:
        return fmr(impostor, threshold) - fnmr(genuine, threshold)

    sides = [_around_zero(tally.values, gap) for tally in (genuine, impostor)]
    below, above = max(low for low, _ in sides), min(high for _, high in sides)
    gap_below, gap_above = gap(below), gap(above)
    if not gap_above >= 0:
        return float("nan")
    share = -gap_below / (gap_above - gap_below)
    return (1 - share) * fmr(impostor, below) + share * fmr(impostor, above)


def _around_zero(values: Floats, gap: Callable[[float], float]) -> tuple[float, float]:
    """Return the last value where an increasing function is negative, and the next one; infinite if there is none."""
    first = bisect_left(range(len(values)), True, key=lambda k: gap(float(values[k])) >= 0)  # noqa: FBT003 - sought: the first True
    low = float(values[first - 1]) if first > 0 else -np.inf
    return low, float(values[first]) if first < len(values) else np.inf


def threshold_at_fmr(impostor: ScoreDistribution, target: float) -> float:
    """Return the loosest threshold whose FMR is at most the target."""
    return float(impostor.loosest(target))


def has_enough_impostors(impostor: ScoreDistribution, target: float) -> bool:
    """Check for enough impostor comparisons to state this FMR: at least 10 expected false matches."""
    return impostor.n * target * (1 + 1e-9) >= MIN_FALSE_MATCHES


def tar_at_fmr(genuine: ScoreDistribution, impostor: ScoreDistribution, target: float) -> float:
    """Return 1 - FNMR at the loosest threshold whose FMR is at most the target."""
    return 1 - fnmr(genuine, threshold_at_fmr(impostor, target))


def roc(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Roc:
    """Return the receiver operating characteristic; with FNMR = 1 - TAR it is the DET curve."""
    values = np.unique(np.concatenate([genuine.values, impostor.values]))
    thresholds = np.append(values[np.isfinite(values)], np.inf)
    return Roc(thresholds, impostor.share_below(thresholds), genuine.share_below(thresholds))
