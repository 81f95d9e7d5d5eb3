"""The parts of a model card: operating points, penalties, evidence, training record; and the format of rates."""

from math import floor, log10
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

RateInterval = tuple[float, float]


def rate_in_words(rate: float | None, interval: RateInterval | None) -> str:
    """Format an error rate, 0 to 1, with its 95% interval if there is one."""
    if rate is None:
        return "not measured"
    return percent(rate) + (f" (95% interval {percent(interval[0])} to {percent(interval[1])})" if interval else "")


def percent(share: float) -> str:
    """Format a share, 0 to 1, with two significant digits of its distance to 0 or 1: 0.012%, 45%, 99.988%."""
    to_nearer_end = 100 * min(share, 1 - share)
    n_decimals = max(0, 1 - floor(log10(to_nearer_end))) if to_nearer_end > 0 else 0
    text = f"{100 * share:.{n_decimals}f}"
    return (text.rstrip("0").rstrip(".") if n_decimals else text) + "%"


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Rate, Rate]  # lower, upper end
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def is_missing(part: object) -> bool:
    """Whether an optional part is missing. Such parts are omitted, so that the digests of older cards do not change."""
    return part is None


class CardPart(BaseModel):
    """The base of all parts of a card: frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(CardPart):
    """A named threshold with its measured error rates and 95% intervals; null = not measured."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]{0,63}$")]
    threshold: Finite  # a distance, with the penalty for poor photos where the card has one
    fmr: Rate | None
    fnmr: Rate | None
    fmr_interval: Interval | None = None
    fnmr_interval: Interval | None = None
    n_identities: Count | None = None
    n_genuine: Count | None = None  # comparisons behind fnmr
    n_impostor: Count | None = None  # comparisons behind fmr
    # Name of the population that set the threshold, and on which fmr, n_identities and n_impostor were measured.
    # Omitted if all rates were measured on the same photos.
    population: Annotated[str | None, Field(min_length=1, exclude_if=is_missing)] = None
    note: str


class LogLikelihoodRatio(CardPart):
    """The evidence of a distance for one person against two: natural logarithm of the likelihood ratio.

    A straight line that falls with the distance. It is constant beyond the range in which the data had enough genuine
    and impostor comparisons.
    """

    intercept: Finite
    slope: Annotated[float, Field(lt=0, allow_inf_nan=False)]  # per unit of distance
    nearest: Finite  # smaller distances have the same ratio as this one
    farthest: Finite  # larger distances have the same ratio as this one

    @model_validator(mode="after")
    def _the_range_is_not_empty(self) -> Self:
        if not self.nearest < self.farthest:
            raise ValueError(f"nearest ({self.nearest}) must be below farthest ({self.farthest})")
        return self

    def at(self, distance: float) -> float:
        """Log-likelihood ratio of a distance: positive supports one person, negative two."""
        return float(self.of_each(np.array(distance)))

    def of_each(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-likelihood ratios of many distances; an infinite distance counts as the farthest."""
        return self.intercept + self.slope * np.clip(distances, self.nearest, self.farthest)


class CalibrationData(CardPart):
    """The photos that the error rates were measured on."""

    name: Annotated[str, Field(min_length=1)]
    digest: Digest  # of the identities and their images' bytes
    population: Annotated[str, Field(min_length=1)]  # the people and how the photos were taken, in words
    n_identities: Count
    n_images: Count
    n_without_face: Count  # images without a usable face; they are left out


# Measures of Quality for which a lower value means a poorer photo.
Measure = Literal["sharpness", "eye_distance_px", "eyes_visible", "mouth_visible"]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class QualityPenalty(CardPart):
    """The penalty by one measure of a photo's quality: piecewise linear between knots, constant beyond them.

    The penalty is in units of distance. It is 0 for a good photo and never lower for a poorer one.
    """

    measure: Measure
    values: Annotated[tuple[Finite, ...], Field(min_length=2)]  # ascending: from poor to good
    penalties: tuple[NotNegative, ...]  # one for each value; the last is 0
    min_value: Finite  # about the 1st percentile of the poorest copies; verify refuses a photo with a lower one
    usual: Finite  # median of photos that were not degraded

    @model_validator(mode="after")
    def _poorer_is_never_cheaper(self) -> Self:
        if len(self.penalties) != len(self.values) or np.any(np.diff(self.values) <= 0):
            raise ValueError("values must be ascending, with one penalty for each")
        if self.penalties[-1] != 0 or np.any(np.diff(self.penalties) > 0):
            raise ValueError("penalties must not increase with the values, and must end at 0")
        return self

    def at(self, value: float) -> float:
        """Return the penalty of one measured value."""
        return float(self.of(value))

    def of(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the penalties of many measured values, in the same shape; NaN stays NaN."""
        return np.interp(np.asarray(values, np.float64), self.values, self.penalties)


class TrainingRecord(CardPart):
    """The record of a training run, sufficient to repeat it with the same data."""

    data_digest: Digest  # of the identities and images of the data, including held-out ones from the same data set
    validation_digest: Digest  # of the data set that contains the held-out identities
    n_identities: Count  # trained on
    n_images: Count
    n_validation_identities: Count
    n_validation_images: Count
    run_sha256: Digest  # of the run file in full
    seed: Count
    steps: Count
    minutes: Annotated[float, Field(ge=0)]
    started_from: Digest | None  # the initial bundle, or file of another project; null: from scratch
    losses: tuple[str, ...]  # in words, with their numbers
    versions: dict[str, str]  # of the libraries
