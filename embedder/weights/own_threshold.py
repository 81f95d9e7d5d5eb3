"""The part of a card that gives every pair a threshold of its own. Knows no files and no torch.

The score of a pair is the mean over its two faces of (distance - mean) / spread + penalty: `mean` and `spread` are
those of the face's distances to its nearest strangers, predicted from its embedding; `penalty` is for its photo.
"""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from .parts import CalibrationData, CardPart, Count, Digest, Finite, LogLikelihoodRatio, OperatingPoint

N_FEATURES = 1 + 128 + 128 * 129 // 2  # of an embedding: 1, its channels, and their products, squares included

Measure = Literal[
    "eye_distance_px",
    "sharpness",
    "blockiness",
    "brightness",
    "contrast",
    "clipped",
    "turn",
    "detector_score",
    "embedding_length",
]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PenaltyCurve(CardPart):
    """The penalty of one measure: straight lines between knots, level beyond them, never lower for a worse photo."""

    measure: Measure
    worse: Literal["low", "high"]  # which end is the poor one
    values: Annotated[tuple[Finite, ...], Field(min_length=2)]  # ascending
    penalties: tuple[NotNegative, ...]  # one for each value; 0 at the good end
    usual: Finite  # median of undegraded photos

    @model_validator(mode="after")
    def _worse_is_never_cheaper(self) -> Self:
        if len(self.penalties) != len(self.values) or np.any(np.diff(self.values) <= 0):
            raise ValueError("values must ascend, each with its penalty")
        from_good_to_bad = self.penalties[::-1] if self.worse == "low" else self.penalties
        if from_good_to_bad[0] != 0 or np.any(np.diff(from_good_to_bad) < 0):
            raise ValueError("penalties must begin at 0 and never fall as the photo gets worse")
        return self

    def of(self, measured: ArrayLike) -> NDArray[np.float64]:
        """Penalties of measured values, of their shape; nothing measured (NaN) costs nothing."""
        found = np.nan_to_num(np.asarray(measured, np.float64), nan=self.values[-1 if self.worse == "low" else 0])
        return np.interp(found, self.values, self.penalties)

    def at(self, measured: float) -> float:
        """Return the penalty of one measured value; quicker than `of`, and the same."""
        k = bisect_right(self.values, measured)
        if k == 0 or k == len(self.values):
            return self.penalties[min(k, len(self.values) - 1)]
        share = (measured - self.values[k - 1]) / (self.values[k] - self.values[k - 1])
        return self.penalties[k - 1] + share * (self.penalties[k] - self.penalties[k - 1])

    @cached_property
    def usual_cost(self) -> float:
        """The penalty of a usual photo."""
        return self.at(self.usual)

    def where(self, penalty: float) -> float:
        """Return the worst value that costs no more than `penalty`."""
        grid = np.interp(np.linspace(0, 1, 1001), np.linspace(0, 1, len(self.values)), self.values)
        fitting = grid[self.of(grid) <= penalty]
        return float(fitting[0] if self.worse == "low" else fitting[-1])


class QualityRule(CardPart):
    """What a poor photo costs, and from where on it is refused. No curve: nothing costs anything."""

    curves: tuple[PenaltyCurve, ...]
    floor: Positive  # verify refuses a face whose penalties add up to more

    @model_validator(mode="after")
    def _each_measure_costs_once(self) -> Self:
        if len({curve.measure for curve in self.curves}) < len(self.curves):
            raise ValueError("a measure must have one penalty curve at most")
        return self

    def penalties(self, measured: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Add up what the measures cost, (n,) each, by name: (n,)."""
        costs = [curve.of(measured[curve.measure]) for curve in self.curves]
        return np.sum(costs, axis=0) if costs else np.zeros(np.shape(next(iter(measured.values()))))


class Cohort(CardPart):
    """The strangers whose distances taught the regression. None of them can be had back from it."""

    data: CalibrationData
    n_nearest: Annotated[int, Field(gt=0)]  # strangers that mean and spread are of
    n_degraded: Count  # poor copies among them
    regularization: NotNegative  # ridge
    r2_mean: Finite  # of the regression on the people that the points were calibrated on
    r2_log_spread: Finite


class OwnThreshold(CardPart):
    """All that is needed to normalise a distance, and what was measured of normalised distances."""

    coefficients_sha256: Digest  # of the bundle's neighbourhood.safetensors
    cohort: Cohort
    mean_range: tuple[Positive, Positive]  # predictions are held inside
    spread_range: tuple[Positive, Positive]
    usual_mean: Positive  # medians of the calibration's faces
    usual_spread: Positive
    quality: QualityRule
    log_likelihood_ratio: LogLikelihoodRatio  # per unit of normalised distance
    operating_points: Annotated[tuple[OperatingPoint, ...], Field(min_length=1)]  # thresholds are normalised distances

    @cached_property
    def usual_penalty(self) -> float:
        """What the quality of a usual photo costs."""
        return sum(curve.usual_cost for curve in self.quality.curves)

    def usual_threshold(self, level: float) -> float:
        """Return the distance that has a normalised distance of `level` between two usual faces in usual photos."""
        return self.usual_mean + (level - self.usual_penalty) * self.usual_spread

    @model_validator(mode="after")
    def _ranges_are_not_empty(self) -> Self:
        for name, (low, high) in (("mean_range", self.mean_range), ("spread_range", self.spread_range)):
            if not low < high:
                raise ValueError(f"{name} must not be empty")
        return self
