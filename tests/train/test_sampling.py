"""Batches of people: how often everybody and every image comes up, over any stretch."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from train.errors import SamplingError
from train.learning.sampler import EpochPermutation, PKSampler, Share

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Identities of images in any order, and people and images that fit."""
    n_images_of = draw(st.lists(st.integers(1, 9), min_size=2, max_size=14))
    labels = draw(st.lists(st.integers(0, 500), unique=True, min_size=len(n_images_of), max_size=len(n_images_of)))
    identities = np.repeat(np.array(labels, np.int32), n_images_of)
    np.random.default_rng(draw(SEEDS)).shuffle(identities)
    return identities, draw(st.integers(2, len(labels))), draw(st.integers(2, 5))


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), SEEDS)
def test_a_window_holds_nothing_more_often_than_need_be(n: int, width: int, seed: int) -> None:
    passes = EpochPermutation(n, width, (seed,))
    for number in range(width + 2):
        counts = np.bincount(passes.window(number), minlength=n)
        assert counts.sum() == width
        assert counts.max() - counts.min() <= 1


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), SEEDS)
def test_at_any_time_everything_has_come_up_equally_often_give_or_take_one(n: int, width: int, seed: int) -> None:
    passes = EpochPermutation(n, width, (seed,))
    stream = np.concatenate([passes.window(number) for number in range(12)])
    for end in range(1, len(stream) + 1):
        counts = np.bincount(stream[:end], minlength=n)
        assert counts.max() - counts.min() <= 1


def test_every_pass_has_an_order_of_its_own() -> None:
    passes = EpochPermutation(8, 4, (3,))
    assert len({tuple(passes.order(number)) for number in range(20)}) == 20


def test_over_many_passes_any_two_things_meet_about_equally_often() -> None:
    """What a window holds decides which pairs are learnt from. With 3 of 7, most windows span passes."""
    passes = EpochPermutation(7, 3, (1,))
    met = np.zeros((7, 7))
    for number in range(3000):
        window = passes.window(number)
        met[window[:, None], window] += 1
    pairs = met[~np.eye(7, dtype=bool)]
    assert pairs.mean() == pytest.approx(3000 * 6 / 42)
    assert pairs.std() < 0.1 * pairs.mean()


@settings(deadline=None)
@given(datasets(), SEEDS)
def test_a_batch_has_exactly_so_many_people_with_so_many_images_each(
    made: tuple[np.ndarray, int, int], seed: int
) -> None:
    identities, people, images = made
    sampler = PKSampler(*made, seed)
    for step in range(4):
        batch = sampler.batch(step)
        shown = identities[batch].reshape(people, images)
        assert batch.dtype == np.int32
        assert (shown == shown[:, :1]).all()
        assert len(set(shown[:, 0].tolist())) == people


@settings(deadline=None)
@given(datasets(), SEEDS)
def test_a_person_repeats_images_only_where_there_are_too_few(made: tuple[np.ndarray, int, int], seed: int) -> None:
    identities, people, images = made
    n_images_of = Counter(identities.tolist())
    sampler = PKSampler(*made, seed)
    for row in sampler.batch(5).reshape(people, images):
        most = max(Counter(row.tolist()).values())
        assert most == -(-images // n_images_of[int(identities[row[0]])])


@settings(deadline=None)
@given(datasets(), SEEDS)
def test_everybody_comes_up_equally_often_and_so_does_every_image_of_a_person(
    made: tuple[np.ndarray, int, int], seed: int
) -> None:
    identities, _, images = made
    sampler = PKSampler(*made, seed)
    drawn = [sampler.batch(step) for step in range(9)]
    of_images = np.bincount(np.concatenate(drawn), minlength=len(identities))
    of_people = [of_images[identities == who].sum() // images for who in np.unique(identities)]
    assert max(of_people) - min(of_people) <= 1
    for who in np.unique(identities):
        own = of_images[identities == who]
        assert own.max() - own.min() <= 1


@settings(deadline=None)
@given(datasets(), SEEDS, st.integers(0, 10**9))
def test_a_batch_depends_on_seed_and_step_alone(made: tuple[np.ndarray, int, int], seed: int, step: int) -> None:
    fresh, used = PKSampler(*made, seed), PKSampler(*made, seed)
    for earlier in (0, 7, step + 3):
        used.batch(earlier)
    assert (fresh.batch(step) == used.batch(step)).all()


def test_another_seed_gives_other_batches() -> None:
    identities = np.repeat(np.arange(40, dtype=np.int32), 10)
    one, other = (PKSampler(identities, 8, 4, seed).batch(0) for seed in (0, 1))
    assert set(one.tolist()) != set(other.tolist())


def test_a_batch_of_all_people_works() -> None:
    identities = np.repeat(np.arange(5, dtype=np.int32), 3)
    sampler = PKSampler(identities, 5, 3, seed=0)
    for step in range(10):
        assert sorted(sampler.batch(step).tolist()) == list(range(15))


@pytest.mark.parametrize(
    ("people", "n_processes", "advice"),
    [
        (6, 1, "5 people to train on, fewer than 6 people in a batch; lower sampling.people to 5 or less"),
        (4, 3, "3 processes cannot share 4 people in a batch equally; set sampling.people to a multiple of 3"),
    ],
)
def test_people_that_do_not_fit_are_told_with_what_to_set(people: int, n_processes: int, advice: str) -> None:
    identities = np.repeat(np.arange(5, dtype=np.int32), 3)
    with pytest.raises(SamplingError, match=advice):
        PKSampler(identities, people, 2, 0, Share(0, n_processes))
