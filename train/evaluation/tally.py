"""How many comparisons had which score: what every error rate is counted from. Knows nothing of photos or people."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
ROUNDING = 1e-12  # what `rate * n` may be off by, so that one in a thousand of a thousand is one


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram:
    """Scores in ascending order, and how many comparisons had a smaller one.

    A score of infinity is a comparison that matches at no threshold.
    """

    values: Floats  # (k,) ascending; one may occur several times
    cumulative: Floats  # (k + 1,) comparisons before each value; the last is all of them

    @classmethod
    def of(cls, scores: ArrayLike) -> Self:
        """Count each of some scores once: (n,), in any order."""
        values = np.sort(np.asarray(scores, np.float64))
        return cls.weighted(values, np.ones(len(values)))

    @classmethod
    def weighted(cls, values: Floats, weights: ArrayLike) -> Self:
        """Count ascending scores (k,) as often as their weights (k,) say."""
        cumulative = np.empty(len(values) + 1)
        cumulative[0] = 0
        np.cumsum(weights, out=cumulative[1:])
        return cls(values, cumulative)

    @property
    def n(self) -> float:
        """How many comparisons there are; with weights not always a whole number."""
        return float(self.cumulative[-1])

    def below(self, threshold: ArrayLike) -> Floats:
        """How many comparisons are below each threshold: the shape of `threshold`."""
        return self.cumulative[np.searchsorted(self.values, threshold, side="left")]

    def share_below(self, threshold: ArrayLike) -> Floats:
        """Which share of the comparisons is below each threshold; NaN where there are none at all."""
        n = self.n
        return self.below(threshold) / n if n else np.full(np.shape(threshold), np.nan)

    def loosest(self, share: ArrayLike) -> Floats:
        """Return the largest of the scores, or infinity, that at most such a share of the comparisons is below."""
        most = np.asarray(share) * self.n * (1 + ROUNDING)
        last = np.searchsorted(self.cumulative, most, side="right") - 1
        inside = np.minimum(last, len(self.values) - 1)
        return (
            np.where(last == inside, self.values[inside], np.inf) if len(self.values) else np.full(last.shape, np.inf)
        )

    def and_never(self, n: float) -> "ScoreHistogram":
        """Return the same with `n` more comparisons that match at no threshold."""
        values = np.append(self.values, np.inf)
        return ScoreHistogram(values, np.append(self.cumulative, self.n + n))
