"""Why a pair's threshold is what it is, in words: what moves it away from the usual pair's, largest first."""

from collections.abc import Iterator
from dataclasses import dataclass

from .grading import Pair, Standing
from .weights.own_threshold import OwnThreshold, PenaltyCurve

GIVEN = "The threshold was given by the caller."
FIXED = "This model has one threshold for all pairs; visavis calibrate --cohort gives every pair its own."
UNKNOWN_QUALITY = "The photos are not known here, so their quality is left out."
LEAST = 0.005  # of distance; smaller shifts are not told

FAULTS = {
    "eye_distance_px": "a small face",
    "sharpness": "blur",
    "blockiness": "strong JPEG compression",
    "brightness": "poor exposure",
    "contrast": "little contrast",
    "clipped": "poor exposure",
    "turn": "a turned head",
    "detector_score": "a doubtful face",
    "embedding_length": "an indistinct face",
}

MERITS = {
    "sharpness": "a sharp photo",
    "blockiness": "weak compression",
    "embedding_length": "a distinct face",
}
OTHER_MERIT = "a good photo"


@dataclass(frozen=True, slots=True)
class _Shift:
    """Something that moves the threshold."""

    words: str
    by: float


def threshold_reason(own: OwnThreshold, level: float, pair: Pair) -> str:
    """Say what moves the threshold of a pair at a point of `level` away from that of a usual pair."""
    usual = own.usual_threshold(level)
    roles = (("probe", pair.probe), ("reference", pair.reference))
    shifts = [shift for role, standing in roles for shift in _shifts(own, level, role, standing, 2 * pair.slope)]
    told = sorted((shift for shift in shifts if abs(shift.by) >= LEAST), key=lambda shift: -abs(shift.by))
    parts = [f"{shift.words} {shift.by:+.3f}" for shift in told] or ["nothing moves it by much"]
    unknown = [UNKNOWN_QUALITY] if not (pair.probe.is_photo_known and pair.reference.is_photo_known) else []
    return " ".join([f"Usually {usual:.3f}; {', '.join(parts)}.", *unknown])


def _shifts(own: OwnThreshold, level: float, role: str, standing: Standing, slopes: float) -> Iterator[_Shift]:
    """What one face contributes; over both faces the shifts add up to the whole, exactly."""
    usual = own.usual_threshold(level)
    alone = standing.mean + (level - own.usual_penalty) * standing.spread  # of two such faces in usual photos
    place = "crowded" if alone < usual else "sparse"
    yield _Shift(
        f"{place} neighbourhood of the {role} (nearest strangers at {standing.mean:.2f}, usually {own.usual_mean:.2f})",
        (alone - usual) * standing.slope / slopes,
    )
    for curve in own.quality.curves:
        excess = standing.costs.get(curve.measure, 0.0) - curve.usual_cost
        if abs(excess) >= LEAST * slopes:
            yield _Shift(_quality_in_words(curve, role, standing, is_poor=excess > 0), -excess / slopes)


def _quality_in_words(curve: PenaltyCurve, role: str, standing: Standing, *, is_poor: bool) -> str:
    if curve.measure not in standing.costs:
        return f"unknown {curve.measure} of the {role}"
    words = FAULTS[curve.measure] if is_poor else MERITS.get(curve.measure, OTHER_MERIT)
    return f"{words} in the {role} ({curve.measure} {standing.measured[curve.measure]:.2g}, usually {curve.usual:.2g})"
