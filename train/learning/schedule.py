"""How fast a run learns, by how far it is."""

import math

from ..runfile.run import ScheduleConfig

FIRST = 1e-3  # of the full rate, at the very first step: with none at all it would be wasted


def factor(schedule: ScheduleConfig, share: float) -> float:
    """What the learning rate is multiplied by where a share of the run, 0..1, lies behind."""
    if share < schedule.warm_up:
        return max(share / schedule.warm_up, FIRST)
    rest = (share - schedule.warm_up) / (1 - schedule.warm_up)
    return schedule.last + (1 - schedule.last) * _shape(schedule, rest)


def _shape(schedule: ScheduleConfig, rest: float) -> float:
    """Fall from 1 to 0."""
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "poly":
        return float((1 - rest) ** schedule.power)
    return (1 + math.cos(math.pi * rest)) / 2
