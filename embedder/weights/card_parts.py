"""What cards are made of: operating points, quality penalties, evidence, training data; and how rates are written."""

from math import floor, log10
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

RateInterval = tuple[float, float]


def rate_in_words(rate: float | None, interval: RateInterval | None) -> str:
    """Say an error rate, 0 to 1, and its 95% interval where there is one."""
    if rate is None:
        return "not measured"
    return percent(rate) + (f" (95% interval {percent(interval[0])} to {percent(interval[1])})" if interval else "")


def percent(share: float) -> str:
    """Write a share, 0 to 1, so that what is left to the nearer end keeps two digits: 0.012%, 45%, 99.988%."""
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
    """Is there no such part? What is left out then keeps the digests of cards that know no such part."""
    return part is None


class CardPart(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(CardPart):
    """A threshold with its name and its measured error rates; null = not measured. Intervals are of 95%."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]{0,63}$")]
    threshold: Finite  # a distance, with the penalty for poor photos where the card has one
    fmr: Rate | None
    fnmr: Rate | None
    fmr_interval: Interval | None = None
    fnmr_interval: Interval | None = None
    n_identities: Count | None = None
    n_genuine: Count | None = None  # comparisons behind fnmr
    n_impostor: Count | None = None  # comparisons behind fmr
    # Name of the photos that set the threshold, whose are fmr, n_identities and n_impostor. Left out where all was
    # measured on the same photos.
    population: Annotated[str | None, Field(min_length=1, exclude_if=is_missing)] = None
    note: str


class LogLikelihoodRatio(CardPart):
    """How a distance speaks for one person against two: natural logarithm of the ratio of the two likelihoods.

    A straight line that falls with the distance, held level beyond the range in which the data had enough
    comparisons of both kinds.
    """

    intercept: Finite
    slope: Annotated[float, Field(lt=0, allow_inf_nan=False)]  # per unit of distance
    nearest: Finite  # smaller distances say no more than this one
    farthest: Finite  # larger ones neither

    @model_validator(mode="after")
    def _the_range_is_not_empty(self) -> Self:
        if not self.nearest < self.farthest:
            raise ValueError(f"nearest ({self.nearest}) must be below farthest ({self.farthest})")
        return self

    def at(self, distance: float) -> float:
        """Log-likelihood ratio of a distance: positive speaks for one person, negative for two."""
        return float(self.of_each(np.array(distance)))

    def of_each(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for many distances; an infinite one counts as the farthest."""
        return self.intercept + self.slope * np.clip(distances, self.nearest, self.farthest)


class CalibrationData(CardPart):
    """The photos that the error rates were measured on."""

    name: Annotated[str, Field(min_length=1)]
    digest: Digest  # of the identities and their images' bytes
    population: Annotated[str, Field(min_length=1)]  # whom they show and how they were taken, in words
    n_identities: Count
    n_images: Count
    n_without_face: Count  # images in which no usable face was found; they take no part


Measure = Literal["sharpness", "eye_distance_px"]  # those of Quality of which a lower value means a poorer photo
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class QualityPenalty(CardPart):
    """What one measure of a photo's quality costs: straight lines between knots, level beyond them.

    The penalty is in units of distance. It is 0 for a good photo and never lower for a poorer one.
    """

    measure: Measure
    values: Annotated[tuple[Finite, ...], Field(min_length=2)]  # ascending: from poor to good
    penalties: tuple[NotNegative, ...]  # one for each value; the last is 0
    min_value: Finite  # a face with a lower value is poorer than any that was measured; verify refuses it
    usual: Finite  # median of photos that were not degraded

    @model_validator(mode="after")
    def _poorer_is_never_cheaper(self) -> Self:
        if len(self.penalties) != len(self.values) or np.any(np.diff(self.values) <= 0):
            raise ValueError("values must ascend, each with its penalty")
        if self.penalties[-1] != 0 or np.any(np.diff(self.penalties) > 0):
            raise ValueError("penalties must never rise as the photo gets better, and end at 0")
        return self

    def at(self, value: float) -> float:
        """Return the penalty of one measured value."""
        return float(self.of(value))

    def of(self, values: ArrayLike) -> NDArray[np.float64]:
        """Penalties of many measured values, of their shape; NaN stays NaN."""
        return np.interp(np.asarray(values, np.float64), self.values, self.penalties)


class TrainingRecord(CardPart):
    """What it takes to understand, and with the same data to repeat, a training."""

    data_digest: Digest  # of the people and images of the data; those held out are among them where they are not apart
    validation_digest: Digest  # of the data that people were held out of
    n_identities: Count  # learnt from
    n_images: Count
    n_validation_identities: Count
    n_validation_images: Count
    run_sha256: Digest  # of the run file in full
    seed: Count
    steps: Count
    minutes: Annotated[float, Field(ge=0)]
    started_from: Digest | None  # the bundle, or file of another project, that it began with; null: from scratch
    losses: tuple[str, ...]  # in words, with their numbers
    versions: dict[str, str]  # of the libraries
