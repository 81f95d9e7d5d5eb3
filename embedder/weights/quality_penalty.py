"""The part of a card that says what a poor photo costs. Knows no files and no torch."""

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from .parts import CardPart, Finite

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
