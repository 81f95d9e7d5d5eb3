"""Rates and intervals in words that a person reads at once."""

from embedder import ScoreKind, percent

from .record import Estimate, Interval

SCORE: dict[ScoreKind, str] = {"normalized": "normalised distance", "plain": "distance"}
DECIDES: dict[ScoreKind, str] = {
    "normalized": "the distance with the penalty for poor photos",
    "plain": "the distance alone",
}


def rate(value: float | None) -> str:
    """Return a share as a percentage."""
    return "not measured" if value is None else percent(value)


def span(interval: Interval | None) -> str:
    """Return a 95% interval in brackets, or nothing."""
    return "" if interval is None else f" [{rate(interval[0])} to {rate(interval[1])}]"


def estimated(found: Estimate) -> str:
    """Return a rate with its interval."""
    return rate(found.value) + span(found.interval)
