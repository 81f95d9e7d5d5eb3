"""What cards are made of: the base of every part, operating points, evidence, and the photos they were measured on."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

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
