"""How far a run is, and how fast it learns there."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..runfile.run import Loop, Schedule

FIRST = 1e-3  # of the full rate, at the very first step: with none at all it would be wasted

Clock = Callable[[], float]  # seconds, from any start


@dataclass(frozen=True, slots=True)
class Length:
    """How long a run is, by steps or by time; one of the two is None."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, loop: Loop) -> "Length":
        """Take it from a run file."""
        return cls(loop.steps, None if loop.minutes is None else 60 * loop.minutes)

    def share(self, step: int, seconds: float) -> float:
        """How much of the run lies behind, 0..1, before a step, after so many seconds of it."""
        done = step / self.steps if self.steps is not None else seconds / (self.seconds or math.inf)
        return min(done, 1.0)


def factor(schedule: Schedule, share: float) -> float:
    """What the learning rate is multiplied by where a share of the run, 0..1, lies behind."""
    if share < schedule.warm_up:
        return max(share / schedule.warm_up, FIRST)
    rest = (share - schedule.warm_up) / (1 - schedule.warm_up)
    return schedule.last + (1 - schedule.last) * _shape(schedule, rest)


def _shape(schedule: Schedule, rest: float) -> float:
    """Fall from 1 to 0."""
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "poly":
        return float((1 - rest) ** schedule.power)
    return (1 + math.cos(math.pi * rest)) / 2
