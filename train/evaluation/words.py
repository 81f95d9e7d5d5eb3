"""Rates and intervals in words that a person reads at once."""

import numpy as np

from .record import Estimate, Interval


def rate(value: float | None) -> str:
    """Return a share as a percentage with three significant digits."""
    if value is None:
        return "not measured"
    return np.format_float_positional(100 * value, precision=3, fractional=False, trim="-") + "%"


def span(interval: Interval | None) -> str:
    """Return a 95% interval in brackets, or nothing."""
    return "" if interval is None else f" [{rate(interval[0])} to {rate(interval[1])}]"


def estimated(found: Estimate) -> str:
    """Return a rate with its interval."""
    return rate(found.value) + span(found.interval)
