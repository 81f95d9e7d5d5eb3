"""What poor photos cost by a card's rule: a grade for each face, and a lower threshold for pairs of poor photos.

Embeddings of two poor photos draw together, and so false matches multiply. One poor photo beside a good one does not do
that: a pair has the penalty of its better photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import LowQuality
from .types import Grade, Quality
from .weights.parts import OperatingPoint
from .weights.quality_penalty import Measure, QualityPenalty

ADVICE: dict[Measure, str] = {
    "sharpness": "send a sharper or larger photo",
    "eye_distance_px": "send a photo in which the face is larger",
}
FAULTS: dict[Measure, str] = {"sharpness": "both photos are blurred", "eye_distance_px": "both faces are small"}
GIVEN = "The threshold was given by the caller."
LEAST = 0.0005  # of distance; a smaller penalty is not told

Rule = tuple[QualityPenalty, ...]  # one for each measure that costs something; empty: nothing does


@dataclass(frozen=True, slots=True)
class PairPenalty:
    """What one measure costs a pair."""

    measure: Measure
    values: tuple[float, float]  # of both photos
    penalty: float  # of distance; that of the better photo


def grade_of(rule: Rule, quality: Quality) -> Grade:
    """Say what a face's quality costs it."""
    values = [(each, _value(each, quality)) for each in rule]
    penalty = sum(each.at(value) for each, value in values)
    return Grade(penalty, is_too_poor=any(value < each.min_value for each, value in values))


def require(rule: Rule, quality: Quality) -> None:
    """Raise LowQuality for a face that is poorer than any that the rule was fitted on."""
    for each in rule:
        value = _value(each, quality)
        if value < each.min_value:
            raise LowQuality(each.measure, value, each.min_value, advice=ADVICE[each.measure])


def pair_penalties(rule: Rule, probe: Quality, reference: Quality) -> tuple[PairPenalty, ...]:
    """What each measure of the rule costs a pair of photos."""
    return tuple(_pair_penalty(each, _value(each, probe), _value(each, reference)) for each in rule)


def threshold_reason(rule: Rule, point: OperatingPoint, penalties: Sequence[PairPenalty] | None) -> str:
    """Say in words why a pair's threshold at a point is what it is; `penalties` is None for unknown photos."""
    begun = f"{point.name}: {point.threshold:.3f}"
    if not rule:
        return f"{begun} for all pairs; this model has no penalty for poor photos."
    if penalties is None:
        return f"{begun}; the quality of the photos is not known here, so no penalty is taken off."
    told = [_in_words(each) for each in penalties if each.penalty >= LEAST]
    if not told:
        return f"{begun} for all pairs with at least one good photo."
    return f"{begun}, {', '.join(told)}."


def _value(rule: QualityPenalty, quality: Quality) -> float:
    return float(getattr(quality, rule.measure))


def _pair_penalty(rule: QualityPenalty, probe: float, reference: float) -> PairPenalty:
    return PairPenalty(rule.measure, (probe, reference), rule.at(max(probe, reference)))


def _in_words(found: PairPenalty) -> str:
    first, second = found.values
    return f"less {found.penalty:.3f} because {FAULTS[found.measure]} ({found.measure} {first:.2g} and {second:.2g})"
