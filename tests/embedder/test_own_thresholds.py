"""Every pair its own threshold: the decision, what moves it, and what it never does."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from own_bundle import BLUR, card_with, coefficients, own_threshold
from pydantic import ValidationError
from safetensors.numpy import load

from embedder import LowQuality, Neighbourhoods, PenaltyCurve, Quality, QualityRule
from embedder.comparison import EVEN, Judgement, Standard, Subject, standard_of
from embedder.grading import Grader, Pair
from embedder.quality import MEASURES
from embedder.reason import LEAST

NEIGHBOURHOOD = coefficients(seed=3)
CARD = card_with(NEIGHBOURHOOD)
OWN = CARD.own_threshold
GRADER = Grader(
    CARD.own_threshold,
    Neighbourhoods.of(CARD.own_threshold.mean_range, CARD.own_threshold.spread_range, load(NEIGHBOURHOOD)),
)
NAMES = [point.name for point in CARD.points("own")]  # from loose to strict
GOOD = Quality(
    eye_distance_px=42,
    sharpness=0.5,
    blockiness=0.7,
    brightness=116,
    contrast=37,
    clipped=0,
    turn=0.1,
    detector_score=1,
)

VECTORS = arrays(np.float32, (4, 128), elements=st.floats(-0.25, 0.25, width=32))
QUALITIES = st.builds(
    Quality,
    eye_distance_px=st.floats(5, 500),
    sharpness=st.floats(0, 2),
    blockiness=st.floats(0, 20),
    brightness=st.floats(0, 255),
    contrast=st.floats(0, 127),
    clipped=st.floats(0, 1),
    turn=st.floats(0, 1),
    detector_score=st.floats(0, 1),
)


def subject(vector: np.ndarray, quality: Quality | None = GOOD) -> Subject:
    return Subject(vector, GRADER.standing(vector, quality))


def standard(point: str | None = None, **asked: float) -> Standard:
    return standard_of(CARD, **{"threshold": None, "operating_point": point, "prior": EVEN, **asked})


def judged(probe: Subject, reference: Subject, point: str | None = None) -> Judgement:
    (judgement,) = standard(point).judge(probe, [reference])
    return judgement


@given(VECTORS, QUALITIES, QUALITIES, st.sampled_from(NAMES))
def test_verification_is_symmetric(vectors: np.ndarray, one: Quality, other: Quality, point: str) -> None:
    first, second = subject(vectors[0], one), subject(vectors[1], other)
    there, back = judged(first, second, point), judged(second, first, point)
    assert replace(there, threshold_reason="") == replace(back, threshold_reason="")


@given(VECTORS, QUALITIES, QUALITIES, st.sampled_from(NAMES))
def test_same_is_exactly_below_the_threshold(vectors: np.ndarray, one: Quality, other: Quality, point: str) -> None:
    found = judged(subject(vectors[0], one), subject(vectors[1], other), point)
    assert found.same is (found.distance < found.threshold)
    level = next(each.threshold for each in CARD.points("own") if each.name == point)
    if abs(found.normalized_distance - level) > 1e-9:
        assert found.same is (found.normalized_distance < level)


@given(VECTORS, QUALITIES, QUALITIES)
def test_a_stricter_point_never_accepts_more(vectors: np.ndarray, one: Quality, other: Quality) -> None:
    thresholds = [judged(subject(vectors[0], one), subject(vectors[1], other), name).threshold for name in NAMES]
    assert thresholds == sorted(thresholds, reverse=True)


@given(VECTORS, QUALITIES, QUALITIES, st.sampled_from(["sharpness", "blockiness"]), st.floats(0, 1))
def test_a_poorer_photo_never_loosens_the_threshold(
    vectors: np.ndarray, one: Quality, other: Quality, measure: str, share: float
) -> None:
    value = getattr(one, measure)
    worse = replace(one, **{measure: value * share if measure == "sharpness" else value / max(share, 1e-3)})
    before, after = (judged(subject(vectors[0], each), subject(vectors[1], other)) for each in (one, worse))
    assert after.threshold <= before.threshold
    assert after.normalized_distance >= before.normalized_distance
    assert not (after.same and not before.same)


@given(VECTORS, QUALITIES)
def test_no_answer_depends_on_batch_or_order(vectors: np.ndarray, quality: Quality) -> None:
    probe, *references = (subject(vector, quality) for vector in vectors)
    together = list(standard().judge(probe, references))
    assert list(standard().judge(probe, references[::-1])) == together[::-1]
    assert [judged(probe, reference) for reference in references] == together


@given(VECTORS, QUALITIES, QUALITIES)
def test_the_normalised_distance_is_the_mean_over_both_faces(vectors: np.ndarray, one: Quality, other: Quality) -> None:
    faces = subject(vectors[0], one), subject(vectors[1], other)
    found = judged(*faces)
    sides = [(found.distance - each.standing.mean) / each.standing.spread + each.standing.penalty for each in faces]
    assert found.normalized_distance == pytest.approx(np.mean(sides))
    assert found.log_likelihood_ratio == CARD.own_threshold.log_likelihood_ratio.at(found.normalized_distance)


@given(VECTORS, QUALITIES, QUALITIES)
def test_the_reasons_add_up_to_the_threshold(vectors: np.ndarray, one: Quality, other: Quality) -> None:
    found = judged(subject(vectors[0], one), subject(vectors[1], other))
    usual, *shifts = (
        float(number)
        for number in re.findall(r"Usually (-?[\d.]+)|([+-]\d\.\d+)", found.threshold_reason)
        for number in number
        if number
    )
    n_possible = 2 * (1 + len(CARD.own_threshold.quality.curves))
    rest = (n_possible - len(shifts)) * LEAST + n_possible * 0.0006
    assert usual + sum(shifts) == pytest.approx(found.threshold, abs=rest)


def test_what_moves_the_threshold_is_told_in_words() -> None:
    vector = np.full(128, 0.1, np.float32)
    blurred = judged(subject(vector, replace(GOOD, sharpness=0.15)), subject(-vector, replace(GOOD, blockiness=9.0)))
    assert "blur in the probe (sharpness 0.15, usually 0.5) -" in blurred.threshold_reason
    assert "strong JPEG compression in the reference (blockiness 9, usually 0.7) -" in blurred.threshold_reason
    assert "neighbourhood" in blurred.threshold_reason


def test_where_only_embeddings_are_known_the_answer_says_so() -> None:
    vector = np.full(128, 0.12, np.float32)
    found = judged(subject(vector, None), subject(-vector))
    assert "photos are not known here" in found.threshold_reason
    assert "photos are not known here" not in judged(subject(vector), subject(-vector)).threshold_reason


def test_a_threshold_of_the_callers_own_holds_for_every_pair_and_evidence_stays_normalised() -> None:
    vector = np.full(128, 0.1, np.float32)
    (found,) = standard(threshold=0.6).judge(subject(vector), [subject(-vector)])
    assert (found.threshold, found.threshold_reason) == (0.6, "The threshold was given by the caller.")
    assert found.log_likelihood_ratio == judged(subject(vector), subject(-vector)).log_likelihood_ratio


# --- quality ------------------------------------------------------------------------------------------------------


@given(st.floats(0, 2), st.floats(0, 2))
def test_a_curve_never_costs_less_for_worse(one: float, other: float) -> None:
    assert BLUR.at(min(one, other)) >= BLUR.at(max(one, other))


@given(st.floats(0, 5))
def test_where_is_the_worst_value_that_costs_no_more(penalty: float) -> None:
    value = BLUR.where(penalty)
    assert BLUR.at(value) <= penalty + 1e-9
    assert penalty >= 5 or BLUR.at(value - 0.002) > penalty


def test_a_photo_below_the_floor_is_refused_with_the_measure_and_by_how_much() -> None:
    vector = np.full(128, 0.13, np.float32)
    with pytest.raises(LowQuality, match=r"sharpness is 0.05 and must be at least 0.17") as caught:
        GRADER.require(GRADER.standing(vector, replace(GOOD, sharpness=0.05)))
    assert (caught.value.measure, caught.value.code) == ("sharpness", "low_quality")
    assert BLUR.at(caught.value.limit) <= GRADER.own.quality.floor
    GRADER.require(GRADER.standing(vector, replace(GOOD, sharpness=caught.value.limit)))


def test_the_measure_that_costs_most_is_the_one_that_is_named() -> None:
    poor = replace(GOOD, sharpness=0.3, blockiness=20.0)
    with pytest.raises(LowQuality, match=r"blockiness is 20 and must be at most .*compressed less"):
        GRADER.require(GRADER.standing(np.full(128, 0.09, np.float32), poor))


@given(VECTORS, QUALITIES)
def test_many_faces_are_graded_as_one_is(vectors: np.ndarray, quality: Quality) -> None:
    measures = np.tile(np.array([getattr(quality, name) for name in MEASURES], np.float32), (len(vectors), 1))
    measured = Quality(*map(float, measures[0]))  # as float32 holds them
    places = GRADER.places(vectors, measures)
    for k, vector in enumerate(vectors):
        standing = GRADER.standing(vector, measured)
        assert (places.means[k], places.spreads[k]) == (standing.mean, standing.spread)
        assert places.penalties[k] == pytest.approx(standing.penalty)
        assert (places.slopes[k], places.offsets[k]) == pytest.approx((standing.slope, standing.offset))


def test_a_face_that_was_not_found_has_no_place() -> None:
    places = GRADER.places(np.full((1, 128), np.nan, np.float32), np.full((1, 8), np.nan, np.float32))
    assert np.isnan([places.means, places.spreads, places.penalties]).all()


# --- cards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "facts",
    [
        {"values": (0.4, 0.1, 0.0)},
        {"values": (0.0, 0.4)},
        {"penalties": (5.0, 4.0, 0.1)},
        {"penalties": (3.0, 4.0, 0.0)},
        {"penalties": (-1.0, -2.0, 0.0)},
        {"worse": "high"},
        {"measure": "beauty"},
    ],
)
def test_a_curve_that_rewards_a_poor_photo_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PenaltyCurve.model_validate(dict(BLUR) | facts)


def test_a_measure_with_two_curves_is_refused() -> None:
    with pytest.raises(ValidationError, match="one penalty curve"):
        QualityRule(curves=(BLUR, BLUR), floor=1.0)


def test_own_points_must_have_the_default_among_them() -> None:
    own = own_threshold(NEIGHBOURHOOD)
    with pytest.raises(ValidationError, match="the default among them"):
        CARD.model_validate(
            dict(CARD) | {"own_threshold": own.model_copy(update={"operating_points": own.operating_points[:1]})}
        )


def test_pairs_of_a_card_without_own_thresholds_have_no_line() -> None:
    assert Pair.of(None, None) is None
