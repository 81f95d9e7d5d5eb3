"""Every metric against a plain loop over the comparisons, and against scikit-learn where it has the metric."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn import metrics as sklearn_metrics

from train.evaluation import metrics
from train.evaluation.metrics import ScoreDistribution

# Few distinct distances, so that ties and touching kinds are common.
DISTANCES = st.lists(st.integers(0, 30).map(lambda step: step / 20), min_size=1, max_size=40)
THRESHOLDS = st.integers(-1, 32).map(lambda step: step / 20)
FMRS = st.sampled_from([1e-3, 0.01, 0.1, 0.25, 0.5, 1.0])


def loop_fmr(impostor: list[float], threshold: float) -> float:
    return sum(distance < threshold for distance in impostor) / len(impostor)


def loop_fnmr(genuine: list[float], threshold: float) -> float:
    return sum(not distance < threshold for distance in genuine) / len(genuine)


def all_thresholds(genuine: list[float], impostor: list[float]) -> list[float]:
    return [*sorted({*genuine, *impostor}), math.inf]


def loop_eer(genuine: list[float], impostor: list[float]) -> float:
    rates = [(loop_fmr(impostor, t), loop_fnmr(genuine, t)) for t in all_thresholds(genuine, impostor)]
    for (fmr_before, fnmr_before), (fmr_after, fnmr_after) in pairwise(rates):
        if fmr_after >= fnmr_after:
            before, after = fmr_before - fnmr_before, fmr_after - fnmr_after
            return fmr_before + (fmr_after - fmr_before) * -before / (after - before)
    raise AssertionError("FMR ends at 1 and FNMR at 0, so they meet")


@given(DISTANCES, DISTANCES, THRESHOLDS)
def test_fmr_fnmr_and_accuracy_are_those_of_a_plain_loop(
    genuine: list[float], impostor: list[float], threshold: float
) -> None:
    tallies = ScoreDistribution.of(genuine), ScoreDistribution.of(impostor)
    right = sum(d < threshold for d in genuine) + sum(not d < threshold for d in impostor)
    assert metrics.fmr(tallies[1], threshold) == loop_fmr(impostor, threshold)
    assert metrics.fnmr(tallies[0], threshold) == pytest.approx(loop_fnmr(genuine, threshold), abs=1e-15)
    assert metrics.accuracy(*tallies, threshold) == pytest.approx(right / (len(genuine) + len(impostor)), abs=1e-15)


@given(DISTANCES, DISTANCES, THRESHOLDS)
def test_accuracy_is_that_of_scikit_learn(genuine: list[float], impostor: list[float], threshold: float) -> None:
    labels = [1] * len(genuine) + [0] * len(impostor)
    verdicts = [int(distance < threshold) for distance in genuine + impostor]
    expected = sklearn_metrics.accuracy_score(labels, verdicts)
    assert metrics.accuracy(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), threshold) == pytest.approx(
        expected, abs=1e-15
    )


@given(DISTANCES, DISTANCES)
def test_the_eer_is_that_of_a_plain_loop(genuine: list[float], impostor: list[float]) -> None:
    expected = loop_eer(genuine, impostor)
    assert metrics.eer(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor)) == pytest.approx(
        expected, abs=1e-12
    )


@given(DISTANCES, DISTANCES, FMRS)
def test_tar_at_an_fmr_is_that_of_the_loosest_threshold_that_a_plain_loop_finds(
    genuine: list[float], impostor: list[float], fmr: float
) -> None:
    allowed = [t for t in all_thresholds(genuine, impostor) if loop_fmr(impostor, t) <= fmr]
    expected = 1 - loop_fnmr(genuine, max(allowed))
    assert metrics.tar_at_fmr(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor), fmr) == pytest.approx(
        expected, abs=1e-12
    )


@given(DISTANCES, DISTANCES)
def test_no_threshold_is_more_accurate_than_the_best_one(genuine: list[float], impostor: list[float]) -> None:
    tallies = ScoreDistribution.of(genuine), ScoreDistribution.of(impostor)
    best = metrics.accuracy(*tallies, metrics.best_threshold(*tallies))
    assert best == max(metrics.accuracy(*tallies, t) for t in all_thresholds(genuine, impostor))


@given(DISTANCES, DISTANCES)
def test_roc_and_det_are_those_of_scikit_learn(genuine: list[float], impostor: list[float]) -> None:
    found = metrics.roc(ScoreDistribution.of(genuine), ScoreDistribution.of(impostor))
    labels, scores = [1] * len(genuine) + [0] * len(impostor), [-d for d in genuine + impostor]
    fmr, tar, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose(found.fmr, fmr)
    assert np.allclose(found.tar, tar)
    det_fmr, det_fnmr, _ = sklearn_metrics.det_curve(labels, scores)
    ours = {(round(x, 9), round(1 - y, 9)) for x, y in zip(found.fmr, found.tar, strict=True)}
    assert {(round(x, 9), round(y, 9)) for x, y in zip(det_fmr, det_fnmr, strict=True)} <= ours


@given(DISTANCES, THRESHOLDS, THRESHOLDS)
def test_fmr_never_rises_with_a_stricter_threshold(impostor: list[float], one: float, other: float) -> None:
    tally = ScoreDistribution.of(impostor)
    assert metrics.fmr(tally, min(one, other)) <= metrics.fmr(tally, max(one, other))


@given(DISTANCES, DISTANCES, st.integers(0, 20), THRESHOLDS)
def test_comparisons_that_never_match_are_counted_as_non_matches_at_every_threshold(
    genuine: list[float], impostor: list[float], n_failed: int, threshold: float
) -> None:
    counted = ScoreDistribution.of(genuine).and_never(n_failed)
    matching = sum(d < threshold for d in genuine)
    assert metrics.fnmr(counted, threshold) == pytest.approx(1 - matching / (len(genuine) + n_failed))
    listed = ScoreDistribution.of([*genuine, *[math.inf] * n_failed])
    assert metrics.fnmr(counted, math.inf) == metrics.fnmr(listed, math.inf)
    assert metrics.best_threshold(counted, ScoreDistribution.of(impostor)) < math.inf


def test_there_is_no_eer_where_more_faces_are_missing_than_impostors_could_match() -> None:
    genuine, impostor = ScoreDistribution.of([0.1]).and_never(9), ScoreDistribution.of([0.5]).and_never(9)
    assert math.isnan(metrics.eer(genuine, impostor))


@pytest.mark.parametrize(("n", "is_carried"), [(9_999, False), (10_000, True)])
def test_an_fmr_is_carried_by_ten_expected_false_matches(n: int, is_carried: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert metrics.has_enough_impostors(ScoreDistribution.of(np.ones(n)), 1e-3) is is_carried


def test_one_in_a_thousand_of_a_thousand_comparisons_is_one() -> None:
    impostor = ScoreDistribution.of(np.arange(1000) / 1000)
    assert impostor.below(metrics.threshold_at_fmr(impostor, 1e-3)) == 1
