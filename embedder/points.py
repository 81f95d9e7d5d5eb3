"""Which operating point of a card is meant: by its name, by a false match rate, or the card's own choice."""

from collections.abc import Sequence

from .errors import OperatingPointUnavailable
from .weights.card import ModelCard
from .weights.parts import OperatingPoint

BY_RATE = "fmr="


def chosen_point(card: ModelCard, asked: str | None) -> OperatingPoint:
    """Return the point of a name such as `fmr-1e-4`, the loosest with an FMR of at most X for `fmr=X`, or the default.

    Raises OperatingPointUnavailable where the card has none such.
    """
    points = card.operating_points
    wanted = card.default_point if asked is None else asked
    fitting = [point for point in points if point.name == wanted]
    if not fitting and asked is not None and asked.startswith(BY_RATE):
        fitting = _at_least_as_strict(points, _rate(asked))
    if not fitting:
        raise OperatingPointUnavailable(asked, {point.name: point.fmr for point in points})
    return max(fitting, key=lambda point: point.threshold)


def _at_least_as_strict(points: Sequence[OperatingPoint], fmr: float) -> list[OperatingPoint]:
    measured = [point for point in points if point.fmr is not None and point.fmr <= fmr]
    return measured if 0 < fmr <= 1 else []


def _rate(asked: str) -> float:
    try:
        return float(asked.removeprefix(BY_RATE))
    except ValueError:
        return float("nan")  # which no point is as strict as
