"""Cllr, calibration error and the reliability diagram against plain loops and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from embedder import LogLikelihoodRatio
from train.evaluation import evidence
from train.evaluation.metrics import ScoreDistribution

RATIO = LogLikelihoodRatio(intercept=12.0, slope=-20.0, nearest=0.2, farthest=0.9)
DISTANCES = st.lists(st.floats(0, 2), min_size=1, max_size=40)


def probability(distance: float) -> float:
    return 1 / (1 + math.exp(-(12.0 - 20.0 * min(max(distance, 0.2), 0.9))))


def loop_cllr(genuine: list[float], impostor: list[float]) -> float:
    of_genuine = sum(-math.log2(probability(d)) for d in genuine) / len(genuine)
    of_impostor = sum(-math.log2(1 - probability(d)) for d in impostor) / len(impostor)
    return (of_genuine + of_impostor) / 2


def loop_ece(genuine: list[float], impostor: list[float], n_bins: int) -> float:
    stated = [(probability(d), 1, 0.5 / len(genuine)) for d in genuine]
    stated += [(probability(d), 0, 0.5 / len(impostor)) for d in impostor]
    gaps = 0.0
    for k in range(n_bins):
        inside = [each for each in stated if min(int(each[0] * n_bins), n_bins - 1) == k]
        gaps += abs(sum(weight * (p - truth) for p, truth, weight in inside))
    return gaps


@given(DISTANCES, DISTANCES)
def test_cllr_is_that_of_a_plain_loop(genuine: list[float], impostor: list[float]) -> None:
    found = evidence.cllr(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), RATIO)
    assert found == pytest.approx(loop_cllr(genuine, impostor), rel=1e-9)


@given(DISTANCES, DISTANCES)
def test_cllr_is_the_log_loss_of_scikit_learn_in_bits_with_both_kinds_weighing_the_same(
    genuine: list[float], impostor: list[float]
) -> None:
    labels = [1] * len(genuine) + [0] * len(impostor)
    weights = [0.5 / len(genuine)] * len(genuine) + [0.5 / len(impostor)] * len(impostor)
    stated = [probability(distance) for distance in genuine + impostor]
    expected = log_loss(labels, stated, sample_weight=weights) / math.log(2)
    assert evidence.cllr(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), RATIO) == pytest.approx(
        expected, rel=1e-9
    )


@given(DISTANCES, DISTANCES)
def test_the_quick_way_to_cllr_is_within_half_a_step_of_its_grid(genuine: list[float], impostor: list[float]) -> None:
    tallies = ScoreDistribution.of(genuine), ScoreDistribution.of(impostor)
    quick = (evidence.mean_cost(tallies[0], RATIO, -1) + evidence.mean_cost(tallies[1], RATIO, 1)) / 2
    steepest = 20.0 / math.log(2) * (0.9 - 0.2) / evidence.N_COSTS / 2  # bits over half a step of the grid
    assert quick == pytest.approx(evidence.cllr(*tallies, RATIO), abs=steepest)


@given(DISTANCES, DISTANCES)
def test_the_calibration_error_is_that_of_a_plain_loop(genuine: list[float], impostor: list[float]) -> None:
    found = evidence.reliability(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), RATIO)
    assert found.ece == pytest.approx(loop_ece(genuine, impostor, evidence.N_BINS), abs=1e-9)
    assert found.share.sum() == pytest.approx(1)


@given(st.integers(1, 30), st.data())
def test_the_reliability_diagram_is_that_of_scikit_learn(n: int, data: st.DataObject) -> None:
    of_kind = st.lists(st.floats(0, 2), min_size=n, max_size=n)  # of each: scikit-learn knows no weights
    genuine, impostor = data.draw(of_kind), data.draw(of_kind)
    stated = [probability(distance) for distance in genuine + impostor]
    observed, mean = calibration_curve([1] * n + [0] * n, stated, n_bins=evidence.N_BINS)
    found = evidence.reliability(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), RATIO)
    assert np.allclose(found.observed, observed)
    assert np.allclose(found.stated, mean)


def test_right_and_sure_costs_nothing_and_saying_nothing_costs_one_bit() -> None:
    sure = LogLikelihoodRatio(intercept=500.0, slope=-1000.0, nearest=0.0, farthest=1.0)
    unsure = LogLikelihoodRatio(intercept=0.0, slope=-1e-9, nearest=0.0, farthest=1.0)
    tallies = ScoreDistribution.of([0.1, 0.2]), ScoreDistribution.of([0.8, 0.9])
    assert evidence.cllr(*tallies, sure) == pytest.approx(0, abs=1e-12)
    assert evidence.cllr(*tallies, unsure) == pytest.approx(1)
