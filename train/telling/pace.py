"""How far a run is, and how long it will still take."""

from dataclasses import dataclass
from typing import Self

from ..runfile.run import LoopConfig
from .record import StepRecord

MINUTE_S, HOUR_S = 60, 3600


@dataclass(frozen=True, slots=True)
class RunLength:
    """How long a run is: so many steps, or so many seconds; the other one is None."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, loop: LoopConfig) -> Self:
        """Return what a run file says."""
        return cls(loop.steps, None if loop.minutes is None else loop.minutes * MINUTE_S)

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the run is done, from 0 to 1, after so many steps and seconds."""
        done, whole = (step, self.steps) if self.steps else (seconds, self.seconds)
        return min(1.0, done / whole) if whole else 1.0


class Pace:
    """The time left. It is told by the steps since it was first asked, so a run that goes on is told rightly too."""

    def __init__(self, length: RunLength) -> None:
        self._length = length
        self._first: StepRecord | None = None

    def left_s(self, now: StepRecord) -> float | None:
        """Return the seconds that are left; None where there is no saying yet."""
        if self._length.seconds is not None:
            return max(0.0, self._length.seconds - now.seconds)
        first = self._first = self._first or now
        n_steps, seconds = now.step - first.step, now.seconds - first.seconds
        return None if n_steps <= 0 else max(0, (self._length.steps or 0) - now.step) * seconds / n_steps


def duration(seconds: float) -> str:
    """Say a duration as people do: 45 s, 3 min 20 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return _two(whole, MINUTE_S, "min", 1, "s")
    return _two(whole, HOUR_S, "h", MINUTE_S, "min")


def _two(whole: int, large: int, of_large: str, small: int, of_small: str) -> str:
    n_small = whole % large // small
    return f"{whole // large} {of_large}" + (f" {n_small} {of_small}" if n_small else "")
