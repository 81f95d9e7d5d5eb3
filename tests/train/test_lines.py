"""Scores by the lines of two faces, against plain loops over every pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.evaluation import blocks, strata
from train.evaluation.all_pairs import compare_all
from train.evaluation.blocks import Grid, faces_of
from train.evaluation.lines import Lines
from train.evaluation.listed import compare_listed, scores_of
from train.evaluation.protocols.protocol import PairList


def faces(n: int, seed: int, *, n_missing: int = 0) -> tuple[np.ndarray, np.ndarray, Lines]:
    generator = np.random.default_rng(seed)
    vectors = (generator.normal(size=(n, 128)) / 16).astype(np.float32)
    lines = Lines(1 / generator.uniform(0.02, 0.3, n), generator.uniform(-40, 5, n))
    for each in (vectors, lines.slopes, lines.offsets):
        each[:n_missing] = np.nan
    return vectors, generator.integers(max(n // 3, 1), size=n).astype(np.int32), lines


def score(vectors: np.ndarray, lines: Lines, a: int, b: int) -> float:
    """The mean over both faces of slope * distance + offset."""
    distance = float(np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)))
    return sum(lines.slopes[k] * distance + lines.offsets[k] for k in (a, b)) / 2


def by_loop(vectors: np.ndarray, identities: np.ndarray, lines: Lines) -> dict[bool, dict[tuple[int, int], float]]:
    """Of genuine and of impostor comparisons, by the photos they are between."""
    found: dict[bool, dict[tuple[int, int], float]] = {True: {}, False: {}}
    for a in range(len(vectors)):
        for b in range(a + 1, len(vectors)):
            if not np.isnan(vectors[[a, b]]).any():
                found[bool(identities[a] == identities[b])][a, b] = score(vectors, lines, a, b)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 4), st.integers(0, 10**6))
def test_every_comparison_has_the_score_of_a_plain_loop(n: int, n_missing: int, seed: int) -> None:
    vectors, identities, lines = faces(n, seed, n_missing=min(n_missing, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 16)
        found = compare_all(vectors, identities, seed=0, lines=lines)
    for kind, expected in zip(
        (found.genuine, found.impostor), by_loop(vectors, identities, lines).values(), strict=True
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
    vectors, identities, lines = faces(n, seed)
    found = compare_all(vectors, identities, seed=0, lines=lines)
    step = 10.0 ** -faces_of(vectors, identities, lines).grid.decimals
    for kind, expected in zip(
        (found.genuine, found.impostor), by_loop(vectors, identities, lines).values(), strict=True
    ):
        counted = np.repeat(kind.tally.values, np.diff(kind.tally.cumulative).astype(int))
        below = np.sort(list(expected.values())) - counted
        assert len(counted) == len(expected)
        assert ((below > -1e-3 * step) & (below < 1.001 * step)).all()


def test_scores_below_zero_have_thresholds_below_zero() -> None:
    vectors, identities, lines = faces(60, seed=1)
    found = compare_all(vectors, identities, seed=0, lines=lines).impostor
    expected = np.array(list(by_loop(vectors, identities, lines)[False].values()))
    assert expected.min() < -10
    for threshold in np.quantile(expected, [0.01, 0.1, 0.5]):
        assert found.tally.below(threshold) == pytest.approx((expected < threshold).sum(), abs=1)


def test_equal_lines_are_the_plain_distances_stretched_and_moved() -> None:
    vectors, identities, _ = faces(50, seed=2)
    plain = compare_all(vectors, identities, seed=0).impostor.sample
    scored = compare_all(
        vectors, identities, seed=0, lines=Lines(np.full(50, 20.0), np.full(50, -13.0))
    ).impostor.sample
    assert np.allclose(scored.values, 20 * plain.values - 13, atol=1e-6)
    assert (scored.probe == plain.probe).all()


def test_of_very_many_scores_the_lowest_impostor_ones_are_all_kept() -> None:
    vectors, identities, lines = faces(300, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strata, "N_EXACT", 5_000)
        patch.setattr(strata, "N_PART", 2_000)
        found = compare_all(vectors, identities, seed=0, lines=lines).impostor.sample
    expected = np.sort(list(by_loop(vectors, identities, lines)[False].values()))
    assert np.allclose(found.values[:4_000], expected[:4_000], atol=1e-6)
    assert len(found.values) < len(expected)


@given(st.floats(-50, 50), st.floats(1e-3, 3000))
def test_the_grid_reaches_over_all_and_has_at_most_a_million_steps(lowest: float, reach: float) -> None:
    grid = Grid.over(lowest, lowest + reach)
    first, last = grid.bins(np.array([lowest, lowest + reach])).tolist()
    assert 0 <= first <= last <= blocks.MAX_BINS + 1
    assert 10.0**grid.decimals * reach * 10 > 0.999 * blocks.MAX_BINS
    assert grid.values(np.array([first]))[0] == pytest.approx(lowest, abs=1.001 * 10.0**-grid.decimals)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(0, 3), st.integers(0, 10**6))
def test_listed_comparisons_have_the_scores_of_a_plain_loop(n: int, n_missing: int, seed: int) -> None:
    vectors, identities, lines = faces(n, seed, n_missing=min(n_missing, n))
    probe, reference = np.random.default_rng(seed).integers(n, size=(2, 50)).astype(np.int32)
    pairs = PairList(probe, reference, identities[probe] == identities[reference], None)
    listed = compare_listed(vectors, pairs, lines=lines)
    expected = [score(vectors, lines, a, b) for a, b in zip(probe.tolist(), reference.tolist(), strict=True)]
    assert np.allclose(listed.values, expected, equal_nan=True)
    scores = scores_of(listed, identities)
    assert scores.genuine.n_failed + scores.impostor.n_failed == np.isnan(expected).sum()
