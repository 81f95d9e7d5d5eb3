"""Shares as a person reads them: percentages, with the interval they were measured to lie in."""

from math import floor, log10

Interval = tuple[float, float]


def rate_in_words(rate: float | None, interval: Interval | None) -> str:
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
