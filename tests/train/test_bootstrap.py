"""The bootstrap draws identities: against a resampling that is written out, identity by identity."""

import numpy as np
import pytest

from train.evaluation.all_pairs import compare_all
from train.evaluation.bootstrap import Resampling, bootstrap, interval
from train.evaluation.metrics import Floats, ScoreDistribution
from train.evaluation.scores import ScoreSample, ScoreSet, whole


def faces(n_identities: int, n_each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    people = generator.normal(size=(n_identities, 1, 128))
    photos = people + 0.8 * generator.normal(size=(n_identities, n_each, 128))
    identities = np.repeat(np.arange(n_identities, dtype=np.int32), n_each)
    return photos.reshape(-1, 128).astype(np.float32), identities


def rates(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
    return np.array([float(genuine.share_below(13.0)), float(impostor.share_below(18.0)), genuine.n, impostor.n])


def written_out(vectors: np.ndarray, identities: np.ndarray, drawn: np.ndarray) -> list[float]:
    """One resample as it is meant: each drawn copy of an identity brings its photos; copies of one are not compared."""
    genuine, impostor = [], []
    photos = [np.flatnonzero(identities == identity) for identity in drawn]
    for first in range(len(drawn)):
        own = photos[first]
        genuine += [_distance(vectors, a, b) for k, a in enumerate(own) for b in own[k + 1 :]]
        for second in range(first + 1, len(drawn)):
            if drawn[first] != drawn[second]:
                impostor += [_distance(vectors, a, b) for a in own for b in photos[second]]
    below = sum(d < 13.0 for d in genuine) / len(genuine), sum(d < 18.0 for d in impostor) / len(impostor)
    return [*below, len(genuine), len(impostor)]


def _distance(vectors: np.ndarray, a: int, b: int) -> float:
    return float(np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)))


def test_each_resample_is_what_it_would_be_if_its_identities_were_written_out() -> None:
    vectors, identities = faces(7, 3, seed=1)
    resampling = Resampling(n_resamples=20, seed=5)
    found = bootstrap(compare_all(vectors, identities, seed=0), rates, resampling)
    seeds = np.random.SeedSequence(resampling.seed).spawn(resampling.n_resamples)
    expected = [written_out(vectors, identities, np.random.default_rng(seed).integers(7, size=7)) for seed in seeds]
    assert np.allclose(found, expected)


def test_the_same_seed_gives_the_same_draws_and_another_one_others() -> None:
    scores = compare_all(*faces(6, 3, seed=2), seed=0)
    one, again, other = (bootstrap(scores, rates, Resampling(50, seed)) for seed in (3, 3, 4))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_an_interval_over_people_is_wider_than_one_over_comparisons_that_share_them() -> None:
    """30 people with 20 photos each have 5,700 genuine comparisons, but not that much to say about people."""
    generator = np.random.default_rng(0)
    centre = generator.normal(0.5, 0.1, size=30)
    distances = np.sort((centre[:, None] + generator.normal(0, 0.01, size=(30, 190))).ravel())
    people = np.repeat(np.arange(30, dtype=np.int32), 190)
    sample = ScoreSample.ordered(distances, people, people, np.ones(5700, np.float32))
    impostor = ScoreSample.ordered(np.ones(1), np.zeros(1, np.int32), np.ones(1, np.int32), np.ones(1, np.float32))
    identities = np.arange(30, dtype=np.int32)
    scores = ScoreSet(whole(sample, identities), whole(impostor, identities), identities)
    draws = bootstrap(scores, lambda genuine, _impostor: genuine.share_below([0.5]), Resampling(1000, 0))[:, 0]
    low, high = interval(draws) or (0.0, 0.0)
    naive = 2 * 1.96 * np.sqrt(0.25 / 5700)
    assert high - low > 5 * naive


@pytest.mark.slow
def test_about_95_of_100_intervals_hold_the_true_rate() -> None:
    held = 0
    for seed in range(100):
        vectors, identities = faces(40, 4, seed=1000 + seed)
        scores = compare_all(vectors, identities, seed=0)
        found = bootstrap(scores, lambda genuine, _i: genuine.share_below([12.8]), Resampling(200, seed))[:, 0]
        low, high = interval(found) or (0.0, 0.0)
        held += low <= TRUE_SHARE <= high
    assert 88 <= held <= 100


def _true_share() -> float:
    """Of the distances of two photos of one person, by simulation: sqrt(2) * 0.8 times a chi of 128 degrees."""
    chi = np.sqrt(np.random.default_rng(9).chisquare(128, size=1_000_000))
    return float((np.sqrt(2) * 0.8 * chi < 12.8).mean())


TRUE_SHARE = _true_share()


@pytest.mark.parametrize("n_known", [0, 50])
def test_there_is_no_interval_where_most_resamples_have_no_figure(n_known: int) -> None:
    draws = np.full(100, np.nan)
    draws[:n_known] = 0.5
    assert interval(draws) is None
