"""Who is held out: people, whatever the order of their photos; and nobody on both sides."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from train.data.prepared import PreparedData
from train.data.splits import PeopleSplit, other_people, split_people
from train.errors import DataError

MadeUp = Callable[..., PreparedData]

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PEOPLE = st.lists(st.integers(1, 5), min_size=8, max_size=30)  # how many chips each has


def people(counts: list[int]) -> list[str]:
    return [f"person {k}" for k, n in enumerate(counts) for _ in range(n)]


def names(data: PreparedData, side: Iterable[int]) -> set[str]:
    return {data.identities[k] for k in side}


def split_of(data: PreparedData, held_out: float = 0.4, min_images: int = 1, seed: int = 0) -> PeopleSplit:
    return split_people(data, held_out, min_images, seed)


@MANY
@given(counts=PEOPLE, seed=st.integers(0, 5), min_images=st.integers(1, 2))
def test_every_person_of_enough_images_is_on_one_side_with_all_of_them(
    made_data: MadeUp, counts: list[int], seed: int, min_images: int
) -> None:
    counts = [*counts, 5, 5, 5, 5]
    data = made_data(people(counts))
    split = split_of(data, 0.4, min_images, seed)
    few = {f"person {k}" for k, n in enumerate(counts) if n < min_images}
    assert split.left_out == tuple(sorted(few))
    assert sorted([*split.train, *split.validation]) == [k for k, who in enumerate(data.identities) if who not in few]
    assert not names(data, split.train) & names(data, split.validation)
    assert len(names(data, split.validation)) == round(0.4 * (len(counts) - len(few)))
    assert (split.train.dtype, split.validation.dtype) == (np.int32, np.int32)
    assert split.contradictory.size == 0


@MANY
@given(counts=PEOPLE, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_photos_changes_nobody_s_side(made_data: MadeUp, counts: list[int], shuffle: Random) -> None:
    identities = people(counts)
    shuffled = list(identities)
    shuffle.shuffle(shuffled)
    one, other = made_data(identities), made_data(shuffled)
    assert names(one, split_of(one).validation) == names(other, split_of(other).validation)


def test_a_seed_says_who_is_held_out(made_data: MadeUp) -> None:
    data = made_data(people([2] * 40))
    held = [frozenset(names(data, split_of(data, seed=seed).validation)) for seed in (0, 0, 1, 2, 3)]
    assert held[0] == held[1]
    assert len(set(held)) == 4


def test_one_more_person_moves_at_most_two(made_data: MadeUp) -> None:
    few, more = made_data(people([2] * 40)), made_data(people([2] * 41))
    assert len(names(few, split_of(few).validation) ^ names(more, split_of(more).validation)) <= 2


def test_two_ways_of_writing_a_name_are_on_one_side(made_data: MadeUp) -> None:
    data = made_data([f"Person{sign}{k}" for k in range(20) for sign in "_- "])
    split = split_of(data)
    assert len(split.train) == 36
    assert {name[7:] for name in names(data, split.train)} & {
        name[7:] for name in names(data, split.validation)
    } == set()


def test_an_image_that_lies_with_people_of_either_side_is_on_neither(made_data: MadeUp) -> None:
    identities = people([3] * 10)
    plain = split_of(made_data(identities))
    one, other = plain.train[0], plain.validation[0]
    images = [f"image {k}" for k in range(30)]
    images[one] = images[other] = "the same"
    split = split_of(made_data(identities, images))
    assert set(split.contradictory) == {one, other}
    assert (len(split.train), len(split.validation)) == (len(plain.train) - 1, len(plain.validation) - 1)


@pytest.mark.parametrize(
    ("n_people", "held_out", "told"),
    [
        (
            10,
            0.1,
            r"of 10 people, data\.held_out=0\.1 holds out 1 and leaves 9 .*set data\.held_out between 0\.2 and 0\.8",
        ),
        (10, 0.9, r"holds out 9 and leaves 1 .*two are needed on each side"),
        (4, 0.1, r"of 4 people, .*: set data\.held_out=0\.5, which holds out two and leaves two, or prepare photos"),
        (3, 0.5, r"of 3 people, .*prepare photos of more people, or lower data\.min_images"),
        (1, 0.5, r"1 people have 2 chips or more, but two are needed"),
    ],
)
def test_fewer_than_two_people_on_a_side_are_refused(
    made_data: MadeUp, n_people: int, held_out: float, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        split_people(made_data(people([2] * n_people + [1] * 5)), held_out, 2, 0)


@given(n_people=st.integers(4, 60))
@MANY
def test_the_shares_that_are_advised_do(made_data: MadeUp, n_people: int) -> None:
    data = made_data(people([1] * n_people))
    for share in (2 / n_people, 1 - 2 / n_people):
        split = split_of(data, float(f"{share:.2g}"))
        assert min(len(split.train), len(split.validation)) >= 2


def test_a_separate_folder_is_held_out_whole(made_data: MadeUp) -> None:
    train, validation = made_data(people([2, 3, 1]), name="a"), made_data(["x", "x", "y", "z", "z"], name="b")
    split = other_people(train, validation, 2)
    assert (split.train.tolist(), split.validation.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 3, 4])
    assert (split.left_out, split.contradictory.size) == (("person 2",), 0)


def test_people_in_both_folders_are_named(made_data: MadeUp) -> None:
    train, validation = made_data(["Ann_Lee", "Bo"], name="a"), made_data(["ann-lee", "cy", "dee"], name="b")
    with pytest.raises(DataError, match=r"b: ann-lee are in a too, .*with --exclude b"):
        other_people(train, validation, 1)


def test_images_in_both_folders_are_named(made_data: MadeUp) -> None:
    train = made_data(["ann", "bo"], ["image 1", "image 2"], name="a")
    validation = made_data(["cy", "dee"], ["image 3", "image 2"], name="b")
    with pytest.raises(DataError, match=r"b: dee/1\.jpg are images of a too, under other people.s names"):
        other_people(train, validation, 1)


def test_folders_that_were_cut_differently_are_refused(made_data: MadeUp) -> None:
    train, validation = made_data(["ann", "bo"], name="a"), made_data(["cy", "dee"], name="b")
    with pytest.raises(DataError, match="with another model or face choice than a; run visavis prepare with the same"):
        other_people(train, replace(validation, face="only"), 1)


def test_a_separate_folder_of_too_few_people_is_refused(made_data: MadeUp) -> None:
    with pytest.raises(DataError, match="b: 1 people have 2 chips or more"):
        other_people(made_data(people([2, 2]), name="a"), made_data(["x", "x", "y"], name="b"), 2)
