"""What own thresholds rest on, before any of them is measured: the cohort's regression, and the price of quality."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import Cohort, LogLikelihoodRatio, OperatingPoint, OwnThreshold, Places, QualityRule

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Foundation:
    """All of a card's own thresholds but what is measured on the photos that it is calibrated on."""

    coefficients_sha256: str
    cohort: Cohort
    mean_range: Range
    spread_range: Range
    quality: QualityRule

    @classmethod
    def of(cls, own: OwnThreshold) -> Self:
        """Take it from a card, to measure points on other photos."""
        return cls(own.coefficients_sha256, own.cohort, own.mean_range, own.spread_range, own.quality)

    def thresholds(self, places: Places, ratio: LogLikelihoodRatio, points: tuple[OperatingPoint, ...]) -> OwnThreshold:
        """Join it with what was measured of photos whose faces have such places (NaN where there is no face)."""
        return OwnThreshold(
            coefficients_sha256=self.coefficients_sha256,
            cohort=self.cohort,
            mean_range=self.mean_range,
            spread_range=self.spread_range,
            usual_mean=_median(places.means),
            usual_spread=_median(places.spreads),
            quality=self.quality,
            log_likelihood_ratio=ratio,
            operating_points=points,
        )


def _median(values: NDArray[np.float64]) -> float:
    return float(f"{np.nanmedian(values):.6g}")
