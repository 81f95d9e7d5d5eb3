"""Penalty curves as sums of hinges: each hinge is 0 on the good side of its knot and rises from there on.

So a curve is straight between knots, never falls as a photo gets worse, and gets steeper rather than flatter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from embedder import PenaltyCurve

from .lots import Lot

Worse = Literal["low", "high"]
PricedMeasure = Literal["sharpness", "blockiness", "embedding_length"]

# What moves impostors nearer, and in which direction. Others were tried: brightness, head turn, distance between the
# eyes and the detector's score hardly tell more beside these; contrast does, but it may follow the colour of skin.
WORSE: Mapping[PricedMeasure, Worse] = {"sharpness": "low", "blockiness": "high", "embedding_length": "low"}
KNOTS = (0.03, 0.08, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85)  # shares of the faces that are worse than each knot
LEAST = 1e-6  # a hinge that adds less is none
DIGITS = 6  # significant ones of what a card states

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hinges:
    """The hinges of one measure."""

    measure: PricedMeasure
    knots: Floats  # (k,) ascending
    worst: float  # of all values seen; beyond it a curve is level
    usual: float  # median of photos that were not degraded

    @classmethod
    def over(cls, lots: Sequence[Lot], weights: Sequence[float], measure: PricedMeasure) -> Self:
        """Put the knots where the faces are; each lot counts as its weight says, and the first is not degraded."""
        values = np.concatenate([lot.measured[measure] for lot in lots])
        each = np.concatenate([np.full(len(lot), weight / len(lot)) for lot, weight in zip(lots, weights, strict=True)])
        is_low = WORSE[measure] == "low"
        knots = _weighted_quantiles(values, each, np.array(KNOTS) if is_low else 1 - np.array(KNOTS))
        worst = float(values.min() if is_low else values.max())
        return cls(measure, knots, worst, float(np.median(lots[0].measured[measure])))

    def of(self, values: Floats) -> Floats:
        """Height of every hinge at values (n,): (n, k)."""
        beyond = self.knots - values[:, None] if WORSE[self.measure] == "low" else values[:, None] - self.knots
        return np.maximum(beyond, 0)

    def curve(self, slopes: Floats) -> PenaltyCurve | None:
        """Sum the hinges, each as steep as its slope (k,) says; None where nothing is left of them."""
        span = float(np.ptp(self.knots)) or 1.0
        used = slopes * span > LEAST
        values = _rounded(np.unique(np.append(self.knots[used], self.worst)))
        if len(values) < 2:  # noqa: PLR2004 - a straight line takes two
            return None
        kept = Hinges(self.measure, _rounded(self.knots[used]), self.worst, self.usual)
        penalties = _rounded(kept.of(values) @ slopes[used])
        return PenaltyCurve(
            measure=self.measure,
            worse=WORSE[self.measure],
            values=tuple(values.tolist()),
            penalties=tuple(penalties.tolist()),
            usual=float(_rounded(np.array(self.usual))),
        )


def _weighted_quantiles(values: Floats, weights: Floats, shares: Floats) -> Floats:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    knots: Floats = np.unique(values[order][np.minimum(np.searchsorted(cumulative, shares), len(values) - 1)])
    return knots


def _rounded(values: Floats) -> Floats:
    return np.array([float(f"{value:.{DIGITS}g}") for value in np.ravel(values)]).reshape(np.shape(values))
