"""What poor photos cost: the decision for a pair, the words for it, and what it never does."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from penalty_bundle import BLUR, RULE, SMALL, card_with
from pydantic import ValidationError

from embedder import LowQuality, ModelCard, Quality, QualityPenalty
from embedder.decision import (
    ComparedFace,
    DecisionRule,
    Judgement,
    VerifyOptions,
    decision_rule,
)
from embedder.quality import grade_photo, require_quality

CARD = card_with(*RULE)
NAMES = [point.name for point in CARD.operating_points]  # from loose to strict
(DEFAULT,) = (point for point in CARD.operating_points if point.name == CARD.default_point)
GOOD = Quality(
    eye_distance_px=60,
    sharpness=0.7,
    blockiness=0.7,
    brightness=116,
    contrast=37,
    clipped=0,
    turn=0.1,
    detector_score=1,
    eyes_visible=1,
    mouth_visible=1,
)
BLURRED = replace(GOOD, sharpness=0.25)

VECTORS = arrays(np.float32, (3, 128), elements=st.floats(-0.25, 0.25, width=32))
QUALITIES = st.builds(
    lambda sharpness, eyes: replace(GOOD, sharpness=sharpness, eye_distance_px=eyes), st.floats(0, 1), st.floats(1, 80)
)


def standard(point: str | None = None, threshold: float | None = None, card: ModelCard = CARD) -> DecisionRule:
    return decision_rule(card, VerifyOptions(threshold=threshold, operating_point=point))


def judged(probe: ComparedFace, reference: ComparedFace, asked: DecisionRule | None = None) -> Judgement:
    (judgement,) = (asked or standard()).judge(probe, [reference])
    return judgement


def pair_of(one: Quality | None, other: Quality | None) -> tuple[ComparedFace, ComparedFace]:
    vector = np.full(128, 0.04, np.float32)
    return ComparedFace(vector, one), ComparedFace(-vector, other)


def interpolated(rule: QualityPenalty, value: float) -> float:
    """Straight lines between knots, by a plain loop."""
    knots = list(zip(rule.values, rule.penalties, strict=True))
    for (low, high_cost), (high, low_cost) in pairwise(knots):
        if low <= value < high:
            return high_cost + (low_cost - high_cost) * (value - low) / (high - low)
    return knots[0][1] if value < knots[0][0] else 0.0


@given(VECTORS, QUALITIES, QUALITIES, st.sampled_from(NAMES))
def test_verification_is_symmetric(vectors: np.ndarray, one: Quality, other: Quality, point: str) -> None:
    faces = ComparedFace(vectors[0], one), ComparedFace(vectors[1], other)
    there, back = judged(*faces, standard(point)), judged(*faces[::-1], standard(point))
    assert replace(there, threshold_reason="") == replace(back, threshold_reason="")


@given(VECTORS, QUALITIES, QUALITIES, st.sampled_from(NAMES))
def test_same_is_exactly_below_the_threshold(vectors: np.ndarray, one: Quality, other: Quality, point: str) -> None:
    found = judged(ComparedFace(vectors[0], one), ComparedFace(vectors[1], other), standard(point))
    assert found.same is (found.distance < found.threshold)
    level = next(each.threshold for each in CARD.operating_points if each.name == point)
    if abs(found.normalized_distance - level) > 1e-9:
        assert found.same is (found.normalized_distance < level)


@given(QUALITIES, QUALITIES)
def test_a_pair_has_for_each_measure_the_penalty_of_its_better_photo(one: Quality, other: Quality) -> None:
    found = judged(*pair_of(one, other))
    expected = sum(
        min(interpolated(rule, getattr(one, rule.measure)), interpolated(rule, getattr(other, rule.measure)))
        for rule in RULE
    )
    assert found.normalized_distance == pytest.approx(found.distance + expected)
    assert found.threshold == pytest.approx(DEFAULT.threshold - expected)
    assert found.log_likelihood_ratio == CARD.ratio.at(found.normalized_distance)


@given(QUALITIES, QUALITIES, st.sampled_from(["sharpness", "eye_distance_px"]), st.floats(0, 1))
def test_a_poorer_photo_never_loosens_the_threshold(one: Quality, other: Quality, measure: str, share: float) -> None:
    worse = replace(one, **{measure: getattr(one, measure) * share})
    before, after = (judged(*pair_of(each, other)) for each in (one, worse))
    assert after.threshold <= before.threshold
    assert after.normalized_distance >= before.normalized_distance
    assert not (after.same and not before.same)


@given(QUALITIES, QUALITIES)
def test_a_stricter_point_never_accepts_more(one: Quality, other: Quality) -> None:
    thresholds = [judged(*pair_of(one, other), standard(name)).threshold for name in NAMES]
    assert thresholds == sorted(thresholds, reverse=True)


def test_two_blurred_photos_are_judged_more_strictly_and_one_is_not() -> None:
    both, one = judged(*pair_of(BLURRED, BLURRED)), judged(*pair_of(BLURRED, GOOD))
    assert both.threshold == pytest.approx(DEFAULT.threshold - 0.1)
    assert one.threshold == DEFAULT.threshold


@given(VECTORS, QUALITIES)
def test_no_answer_depends_on_batch_or_order(vectors: np.ndarray, quality: Quality) -> None:
    probe, *references = (ComparedFace(vector, quality) for vector in vectors)
    together = list(standard().judge(probe, references))
    assert list(standard().judge(probe, references[::-1])) == together[::-1]
    assert [judged(probe, reference) for reference in references] == together


BOTH_BLURRED = "because both photos are blurred (sharpness 0.25 and 0.25)"
BOTH_SMALL = "because both faces are small (eye_distance_px 30 and 21)"


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (BLURRED, BLURRED, f", less 0.100 {BOTH_BLURRED}."),
        (
            replace(BLURRED, eye_distance_px=30),
            replace(BLURRED, eye_distance_px=21),
            f", less 0.100 {BOTH_BLURRED}, less 0.025 {BOTH_SMALL}.",
        ),
        (BLURRED, GOOD, " for all pairs with at least one good photo."),
        (GOOD, GOOD, " for all pairs with at least one good photo."),
        (None, None, "; the quality of the photos is not known here, so no penalty is taken off."),
        (BLURRED, None, "; the quality of the photos is not known here, so no penalty is taken off."),
    ],
)
def test_the_reason_says_what_is_taken_off(one: Quality | None, other: Quality | None, told: str) -> None:
    found = judged(*pair_of(one, other))
    assert found.threshold_reason == f"{DEFAULT.name}: {DEFAULT.threshold:.3f}{told}"


def test_embeddings_alone_have_no_penalty() -> None:
    found = judged(*pair_of(None, None))
    assert (found.threshold, found.normalized_distance) == (DEFAULT.threshold, found.distance)


def test_a_threshold_of_the_callers_own_is_not_moved_and_evidence_is_normalised() -> None:
    found, at_point = (judged(*pair_of(BLURRED, BLURRED), standard(threshold=each)) for each in (0.6, None))
    assert (found.threshold, found.threshold_reason) == (0.6, "The threshold was given by the caller.")
    assert found.normalized_distance == at_point.normalized_distance == pytest.approx(found.distance + 0.1)
    assert found.log_likelihood_ratio == at_point.log_likelihood_ratio


def test_without_a_rule_all_pairs_have_one_threshold() -> None:
    found = judged(*pair_of(BLURRED, BLURRED), standard(card=card_with()))
    assert (found.threshold, found.normalized_distance) == (DEFAULT.threshold, None)
    assert found.threshold_reason == (
        f"fmr-1e-3: {DEFAULT.threshold:.3f} for all pairs; this model has no penalty for poor photos."
    )


# --- grades -------------------------------------------------------------------------------------------------------


@given(QUALITIES)
def test_a_face_costs_the_sum_of_its_measures(quality: Quality) -> None:
    expected = interpolated(BLUR, quality.sharpness) + interpolated(SMALL, quality.eye_distance_px)
    grade = grade_photo(RULE, quality)
    assert grade.penalty == pytest.approx(expected)
    assert grade.is_too_poor is (quality.sharpness < 0.17 or quality.eye_distance_px < 8)


@given(QUALITIES)
def test_what_is_too_poor_is_refused_with_the_measure_and_its_least_value(quality: Quality) -> None:
    if not grade_photo(RULE, quality).is_too_poor:
        require_quality(RULE, quality)
        return
    with pytest.raises(LowQuality, match=r"and must be at least (0\.17|8); send") as caught:
        require_quality(RULE, quality)
    assert caught.value.value == getattr(quality, caught.value.measure) < caught.value.limit


def test_the_least_value_itself_is_not_refused() -> None:
    require_quality(RULE, replace(GOOD, sharpness=BLUR.min_value, eye_distance_px=SMALL.min_value))


@given(arrays(np.float64, 5, elements=st.floats(0, 1)))
def test_many_values_cost_what_each_costs(values: np.ndarray) -> None:
    assert BLUR.of(values) == pytest.approx([interpolated(BLUR, value) for value in values])
    assert BLUR.of(values) == pytest.approx([BLUR.at(value) for value in values])
    assert np.isnan(BLUR.of(np.nan))


# --- cards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {"values": (0.45, 0.3, 0.2)},
        {"values": (0.2, 0.2, 0.45)},
        {"values": (0.2, 0.45)},
        {"penalties": (0.12, 0.08, 0.01)},
        {"penalties": (0.08, 0.12, 0.0)},
        {"penalties": (0.12, -0.01, 0.0)},
        {"measure": "beauty"},
        {"min_value": float("nan")},
        {"floor": 3.0},
    ],
)
def test_a_curve_that_rewards_a_poor_photo_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QualityPenalty.model_validate(dict(BLUR) | facts)


def test_a_measure_with_two_curves_is_refused() -> None:
    with pytest.raises(ValidationError, match="one penalty curve"):
        card_with(BLUR, BLUR)


def test_a_card_without_a_rule_does_not_mention_it_and_one_with_it_keeps_it() -> None:
    assert "quality_penalties" not in card_with().to_json()
    assert ModelCard.model_validate_json(CARD.to_json()) == CARD
    assert CARD.card_digest != card_with().card_digest
    assert CARD.with_mirror(mirror=not CARD.architecture.mirror).quality_penalties == ()
