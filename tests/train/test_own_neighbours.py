"""The distances to the nearest strangers: as plain loops find them, and never to oneself."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from train.own_threshold import neighbours as module
from train.own_threshold.neighbours import neighbours


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_mean_and_spread_are_those_of_plain_loops(seed: int, n_nearest: int) -> None:
    generator = np.random.default_rng(seed)
    vectors, cohort = (generator.normal(size=(n, 128)).astype(np.float32) for n in (5, 12))
    identities, of_cohort = generator.integers(0, 6, 5), generator.integers(0, 6, 12)
    assume(max(np.bincount(of_cohort, minlength=6)) <= 12 - n_nearest)
    means, spreads = neighbours(vectors, identities, cohort, of_cohort, n_nearest)
    for k, vector in enumerate(vectors):
        strangers = cohort[of_cohort != identities[k]].astype(np.float64)
        nearest = sorted(float(np.linalg.norm(vector - stranger)) for stranger in strangers)[:n_nearest]
        assert means[k] == pytest.approx(np.mean(nearest))
        assert spreads[k] == pytest.approx(np.std(nearest), abs=1e-7)


def test_a_face_in_the_cohort_is_not_its_own_stranger() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 128)).astype(np.float32)
    means, _ = neighbours(vectors, np.arange(60), vectors, np.arange(60))
    assert means.min() > 10


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(70, 128)).astype(np.float32)
    whole = neighbours(vectors, np.arange(70), vectors, np.arange(70))
    monkeypatch.setattr(module, "BLOCK", 7)
    assert np.allclose(whole, neighbours(vectors, np.arange(70), vectors, np.arange(70)), rtol=1e-12)
