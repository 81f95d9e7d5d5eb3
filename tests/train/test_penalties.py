"""Scores with the penalties of two faces, against plain loops over every pair."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from penalty_bundle import RULE

from embedder import MEASURES, Quality
from embedder.quality import pair_penalties
from train.evaluation import all_pairs, scores
from train.evaluation.all_pairs import ScoreGrid, compare_all, compared_faces
from train.evaluation.compared import compare_listed, scores_of
from train.evaluation.protocols.protocol import PairList
from train.evaluation.scores import Penalties
from train.evaluation.scoring import too_poor


def faces(n: int, seed: int, *, n_missing: int = 0) -> tuple[np.ndarray, np.ndarray, Penalties]:
    generator = np.random.default_rng(seed)
    vectors = (generator.normal(size=(n, 128)) / 16).astype(np.float32)
    penalties = Penalties(generator.uniform(0, 0.4, (2, n)))
    for each in (vectors, penalties.of_faces.T):
        each[:n_missing] = np.nan
    return vectors, generator.integers(max(n // 3, 1), size=n).astype(np.int32), penalties


def score(vectors: np.ndarray, penalties: Penalties, a: int, b: int) -> float:
    distance = float(np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)))
    return distance + sum(min(of_measure[a], of_measure[b]) for of_measure in penalties.of_faces)


def by_loop(
    vectors: np.ndarray, identities: np.ndarray, penalties: Penalties
) -> dict[bool, dict[tuple[int, int], float]]:
    """Of genuine and of impostor comparisons, by the photos they are between."""
    found: dict[bool, dict[tuple[int, int], float]] = {True: {}, False: {}}
    for a in range(len(vectors)):
        for b in range(a + 1, len(vectors)):
            if not np.isnan(vectors[[a, b]]).any():
                found[bool(identities[a] == identities[b])][a, b] = score(vectors, penalties, a, b)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 4), st.integers(0, 10**6))
def test_every_comparison_has_the_score_of_a_plain_loop(n: int, n_missing: int, seed: int) -> None:
    vectors, identities, penalties = faces(n, seed, n_missing=min(n_missing, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "BLOCK", 16)
        found = compare_all(vectors, identities, seed=0, penalties=penalties)
    for kind, expected in zip(
        (found.genuine, found.impostor), by_loop(vectors, identities, penalties).values(), strict=True
    ):
        sample = kind.sample
        of_pairs = {
            tuple(sorted(pair)): value
            for *pair, value in zip(sample.probe.tolist(), sample.reference.tolist(), sample.values, strict=True)
        }
        assert of_pairs == pytest.approx(expected, abs=1e-6)
        assert (np.diff(sample.values) >= 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 40), st.integers(0, 10**6))
def test_counted_scores_are_rounded_down_to_the_grid(n: int, seed: int) -> None:
    vectors, identities, penalties = faces(n, seed)
    found = compare_all(vectors, identities, seed=0, penalties=penalties)
    step = 10.0 ** -compared_faces(vectors, identities, penalties).grid.decimals
    for kind, expected in zip(
        (found.genuine, found.impostor), by_loop(vectors, identities, penalties).values(), strict=True
    ):
        counted = np.repeat(kind.tally.values, np.diff(kind.tally.cumulative).astype(int))
        below = np.sort(list(expected.values())) - counted
        assert len(counted) == len(expected)
        assert ((below > -1e-3 * step) & (below < 1.001 * step)).all()


def test_equal_penalties_move_all_distances_alike() -> None:
    vectors, identities, _ = faces(50, seed=2)
    plain = compare_all(vectors, identities, seed=0).impostor.sample
    scored = compare_all(vectors, identities, seed=0, penalties=Penalties(np.full((1, 50), 0.25))).impostor.sample
    assert np.allclose(scored.values, plain.values + 0.25, atol=1e-6)
    assert (scored.probe == plain.probe).all()


def test_of_very_many_scores_the_lowest_impostor_ones_are_all_kept() -> None:
    vectors, identities, penalties = faces(300, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "N_EXACT", 5_000)
        patch.setattr(scores, "N_PART", 2_000)
        found = compare_all(vectors, identities, seed=0, penalties=penalties).impostor.sample
    expected = np.sort(list(by_loop(vectors, identities, penalties)[False].values()))
    assert np.allclose(found.values[:4_000], expected[:4_000], atol=1e-6)
    assert len(found.values) < len(expected)


@given(st.floats(1e-3, 3000))
def test_the_grid_reaches_over_all_and_has_at_most_a_million_steps(highest: float) -> None:
    grid = ScoreGrid.up_to(highest)
    first, last = grid.bins(np.array([0.0, highest])).tolist()
    assert 0 == first <= last <= all_pairs.MAX_BINS + 1
    assert 10.0**grid.decimals * highest * 10 > 0.999 * all_pairs.MAX_BINS


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(0, 3), st.integers(0, 10**6))
def test_listed_comparisons_have_the_scores_of_a_plain_loop(n: int, n_missing: int, seed: int) -> None:
    vectors, identities, penalties = faces(n, seed, n_missing=min(n_missing, n))
    probe, reference = np.random.default_rng(seed).integers(n, size=(2, 50)).astype(np.int32)
    pairs = PairList(probe, reference, identities[probe] == identities[reference], None)
    listed = compare_listed(vectors, pairs, penalties=penalties)
    expected = [score(vectors, penalties, a, b) for a, b in zip(probe.tolist(), reference.tolist(), strict=True)]
    assert np.allclose(listed.values, expected, equal_nan=True)
    scores = scores_of(listed, identities)
    assert scores.genuine.n_failed + scores.impostor.n_failed == np.isnan(expected).sum()


def test_photos_are_graded_by_their_measures_one_by_one() -> None:
    measures = np.random.default_rng(0).uniform(0, 1, (60, len(MEASURES))).astype(np.float32)
    measures[:, MEASURES.index("eye_distance_px")] *= 60
    measures[0] = np.nan
    found, refused = Penalties.by(RULE, measures), too_poor(RULE, measures)
    for rule, penalties in zip(RULE, found.of_faces, strict=True):
        values = measures[:, MEASURES.index(rule.measure)]
        assert np.isnan(penalties[0])
        assert penalties[1:] == pytest.approx([rule.at(float(value)) for value in values[1:]])
    for k, photo in enumerate(measures):
        is_below = [photo[MEASURES.index(rule.measure)] < rule.min_value for rule in RULE]
        assert refused[k] == any(is_below)
    assert 0 < refused.sum() < 59


def test_without_a_rule_nothing_costs_anything() -> None:
    vectors, identities, _ = faces(30, seed=4)
    nothing = Penalties.by((), np.ones((30, len(MEASURES)), np.float32))
    plain, scored = (compare_all(vectors, identities, seed=0, penalties=each) for each in (None, nothing))
    assert (plain.impostor.tally.values == scored.impostor.tally.values).all()
    assert not too_poor((), np.ones((30, len(MEASURES)), np.float32)).any()


@given(arrays(np.float32, (2, len(MEASURES)), elements=st.floats(0, 80, width=32)), st.floats(0, 2))
def test_a_pair_has_the_score_that_verify_gives_it(measures: np.ndarray, distance: float) -> None:
    one, other = (Quality(*map(float, row)) for row in measures)
    by_verify = distance + sum(each.penalty for each in pair_penalties(RULE, one, other))
    (score,) = Penalties.by(RULE, measures).scores(np.array([distance]), np.array([0]), np.array([1]))
    assert score == pytest.approx(by_verify, abs=1e-6)
