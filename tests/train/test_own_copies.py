"""Which photos are degraded: the same ones from the same seed, many people's, and some people's twice."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from train.degradations import DEGRADATIONS
from train.evaluation.protocols.protocol import Photo
from train.own_threshold.copies import MOST_OF_ONE, copies_of_a_kind, one_of_each, random_copies, some_of_each

PHOTOS = [Photo(Path(f"{k}"), f"{k}", f"{k % 90 if k % 2 else 0}") for k in range(900)]  # half are of one person


def test_the_same_seed_draws_the_same_and_another_one_others() -> None:
    one, again, other = (some_of_each(PHOTOS, np.random.default_rng(seed), 60) for seed in (1, 1, 2))
    assert one == again != other
    one_copies, again_copies = (random_copies(PHOTOS, np.random.default_rng(1)) for _ in range(2))
    assert one_copies == again_copies


def test_nobody_has_many_of_the_photos_but_some_have_two() -> None:
    drawn = some_of_each(PHOTOS, np.random.default_rng(0), 100)
    of_each = Counter(PHOTOS[k].identity for k in drawn)
    assert len(drawn) == len(set(drawn)) == 100
    assert 1 < max(of_each.values()) <= MOST_OF_ONE


def test_a_third_of_the_photos_is_copied_in_every_way() -> None:
    copies = random_copies(PHOTOS, np.random.default_rng(0))
    assert len(copies) == pytest.approx(300, abs=50)
    assert {copy.degradation for copy in copies} == set(DEGRADATIONS)
    assert {copies_of_a_kind(PHOTOS, "px32", np.random.default_rng(0))[k].degradation for k in range(9)} == {"px32"}


def test_one_of_each_is_one_of_each_and_any_of_them() -> None:
    identities = np.array([0, 0, 0, 1, 2, 2], np.int32)
    draws = [one_of_each(identities, np.random.default_rng(seed)) for seed in range(50)]
    assert all(identities[draw].tolist() == [0, 1, 2] for draw in draws)
    assert {int(draw[0]) for draw in draws} == {0, 1, 2}
