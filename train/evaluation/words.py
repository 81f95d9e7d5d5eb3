"""Rates and intervals in words that a person reads at once."""

from embedder import ScoreKind, percent

from .record import Estimate, Interval

SCORE: dict[ScoreKind, str] = {"normalized": "normalised distance", "plain": "distance"}
DECIDES: dict[ScoreKind, str] = {
    "normalized": "the distance with the penalty for poor photos",
    "plain": "the distance alone",
}


def rate_text(value: float | None) -> str:
    """Return a share as a percentage."""
    return "not measured" if value is None else percent(value)


def interval_text(interval: Interval | None) -> str:
    """Return a 95% interval in brackets, or nothing."""
    return "" if interval is None else f" [{rate_text(interval[0])} to {rate_text(interval[1])}]"


def estimated(found: Estimate) -> str:
    """Return a rate with its interval."""
    return rate_text(found.value) + interval_text(found.interval)
