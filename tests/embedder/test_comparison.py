"""What a distance says: the decision exactly, the probability by Bayes' rule, and what of it rests on the card."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from embedder import OperatingPointUnavailable
from embedder.decision import EVEN_PRIOR, ComparedFace, DecisionRule, VerifyOptions, decision_rule, euclidean, posterior
from embedder.weights.bundle import BUILT_IN, read_bundle
from embedder.weights.card_parts import LogLikelihoodRatio

CARD = read_bundle(BUILT_IN).card
BARE = CARD.model_copy(update={"operating_points": (), "default_point": None, "calibration": None})
LINE = LogLikelihoodRatio(intercept=12, slope=-20, nearest=0.3, farthest=0.9)
PRIORS = st.floats(0, 1, exclude_min=True, exclude_max=True)
RATIOS = st.floats(-40, 40)
VECTORS = arrays(np.float32, (5, 128), elements=st.floats(-1, 1, width=32))


def plain(*vectors: np.ndarray) -> list[ComparedFace]:
    return [ComparedFace(vector, None) for vector in vectors]


def standard(**asked: object) -> DecisionRule:
    return decision_rule(CARD, VerifyOptions(**asked))


@given(RATIOS, st.floats(1e-9, 1 - 1e-9))
def test_the_probability_is_that_of_bayes_rule(ratio: float, prior: float) -> None:
    one, two = Fraction(math.exp(ratio)) * Fraction(prior), 1 - Fraction(prior)
    assert posterior(ratio, prior) == pytest.approx(float(one / (one + two)), rel=1e-9)


@pytest.mark.parametrize("ratio", [-1e308, -1e4, 0, 1e4, 1e308])
@pytest.mark.parametrize("prior", [5e-324, 0.5, math.nextafter(1, 0)])
def test_no_ratio_and_no_prior_is_too_extreme(ratio: float, prior: float) -> None:
    assert 0 <= posterior(ratio, prior) <= 1


def test_a_distance_that_says_nothing_leaves_the_prior_as_it_was() -> None:
    assert posterior(0, 0.125) == pytest.approx(0.125)


@given(RATIOS, RATIOS, PRIORS)
def test_more_evidence_never_makes_one_person_less_probable(one: float, other: float, prior: float) -> None:
    assert posterior(min(one, other), prior) <= posterior(max(one, other), prior)


@given(RATIOS, st.floats(1e-9, 1 - 1e-9))
def test_what_speaks_for_one_person_speaks_as_much_against_two(ratio: float, prior: float) -> None:
    assert posterior(ratio, prior) + posterior(-ratio, 1 - prior) == pytest.approx(1)


@given(VECTORS)
def test_distances_are_those_of_numpys_norm(vectors: np.ndarray) -> None:
    found = euclidean(vectors[0], vectors[1:])
    expected = [np.linalg.norm(vectors[0].astype(np.float64) - other.astype(np.float64)) for other in vectors[1:]]
    assert found == pytest.approx(expected)


@given(VECTORS, st.floats(0.01, 20), PRIORS)
def test_each_pair_is_judged_as_if_it_were_alone(vectors: np.ndarray, threshold: float, prior: float) -> None:
    judged = DecisionRule(threshold, None, (), LINE, prior)
    probe, *references = plain(*vectors)
    together = list(judged.judge(probe, references))
    for reference, judgement in zip(references, together, strict=True):
        (alone,) = judged.judge(probe, [reference])
        assert alone == judgement
        assert judgement.same is (judgement.distance < threshold)
        assert judgement.log_likelihood_ratio == LINE.at(judgement.distance)
        assert judgement.probability == posterior(LINE.at(judgement.distance), prior)


def test_a_distance_of_exactly_the_threshold_is_of_two_people() -> None:
    probe, reference = plain(np.zeros(128, np.float32), np.eye(1, 128, dtype=np.float32)[0])
    (judgement,) = DecisionRule(1.0, None, (), None, EVEN_PRIOR).judge(probe, [reference])
    assert (judgement.distance, judgement.same) == (1.0, False)


def test_without_a_calibration_there_is_a_decision_and_no_probability() -> None:
    by_threshold = decision_rule(BARE, VerifyOptions(threshold=0.5))
    (judgement,) = by_threshold.judge(*plain(np.zeros(128, np.float32)), plain(np.zeros(128, np.float32)))
    assert (judgement.same, judgement.probability, judgement.log_likelihood_ratio) == (True, None, None)


def test_a_threshold_of_the_callers_own_is_still_given_a_probability() -> None:
    asked = standard(threshold=0.5, prior=0.1)
    assert (asked.base_threshold, asked.operating_point, asked.prior) == (0.5, None, 0.1)
    assert asked.likelihood_ratio == CARD.calibration.log_likelihood_ratio


def test_the_threshold_of_a_point_is_the_points_own() -> None:
    point = CARD.operating_points[-1]
    asked = standard(operating_point=point.name)
    assert (asked.base_threshold, asked.operating_point) == (point.threshold, point)


def test_a_card_without_points_needs_a_threshold() -> None:
    with pytest.raises(OperatingPointUnavailable, match="set a threshold"):
        decision_rule(BARE, VerifyOptions())


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"threshold": 0.5, "operating_point": "fmr-1e-3"}, "not both"),
        ({"threshold": 0}, "greater than 0, not 0"),
        ({"threshold": float("nan")}, "greater than 0, not nan"),
        ({"prior": 0}, "between 0 and 1"),
        ({"prior": 1}, "between 0 and 1"),
        ({"prior": float("nan")}, "between 0 and 1"),
        ({"threshold": 0.5, "prior": -0.1}, "between 0 and 1"),
    ],
)
def test_what_contradicts_itself_or_is_no_number_of_its_kind_is_a_value_error(
    asked: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        standard(**asked)
