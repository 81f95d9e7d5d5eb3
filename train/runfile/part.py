"""The base of every part of a run file, and the kinds of numbers in it."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]


def _given(value: object) -> object:
    if value == "":
        raise ValueError("an empty path; is a variable unset?")
    return value


GivenPath = Annotated[Path, BeforeValidator(_given)]


class RunConfig(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
