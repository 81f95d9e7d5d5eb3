"""Grouping faces into people: against plain oracles, and what must never happen."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.cluster import DBSCAN, AgglomerativeClustering

from embedder import MEASURES, ModelCard, read_bundle
from gallery import GroupingError
from gallery.clusters import FaceSet
from gallery.grouping import NEIGHBOURS, NO_PERSON, Grouping, group_faces
from gallery.link_rule import MOST_FMR, WRONG_LINKS, LinkRule, fmr_curve, link_rule

CARD = read_bundle().card
N_MEASURES = len(CARD.quality_penalties)


def rule(threshold: float, mean_threshold: float | None = None) -> LinkRule:
    means = threshold if mean_threshold is None else mean_threshold
    return LinkRule(1e-5, threshold, means, threshold - 0.05, threshold + 0.05, reach=2.0)


def faces(vectors: np.ndarray, pictures: Sequence[int] | None = None, *, unit_length: bool = True) -> FaceSet:
    n = len(vectors)
    where = np.arange(n) if pictures is None else np.array(pictures, np.int64)
    return FaceSet(
        vectors.astype(np.float32), where, np.zeros((N_MEASURES, n)), np.ones((2, n)), np.ones(n, np.bool_), unit_length
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def some_people(seed: int, n_people: int, n_each: int, noise: float = 0.05) -> np.ndarray:
    """Unit vectors: about 1.4 apart for two people, and 12 times the noise apart for one."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(unit(generator.normal(size=(n_people, 128))), n_each, axis=0)
    return unit(centres + generator.normal(scale=noise, size=centres.shape)).astype(np.float32)


def parts(grouping: Grouping) -> set[frozenset[int]]:
    return {frozenset(person.faces) for person in grouping.people}


def template_distance(vectors: np.ndarray, some: Sequence[int], others: Sequence[int]) -> float:
    """The distance of two mean embeddings that are scaled to length 1."""
    first, second = (
        unit(vectors[list(each)].astype(np.float64).mean(axis=0, keepdims=True))[0] for each in (some, others)
    )
    return float(np.linalg.norm(first - second))


def mean_distance(vectors: np.ndarray, some: Sequence[int], others: Sequence[int]) -> float:
    """The root mean square distance of some faces to others."""
    first, second = (vectors[list(each)].astype(np.float64) for each in (some, others))
    return float(np.sqrt(((first[:, None] - second) ** 2).sum(axis=2).mean()))


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, threshold=st.floats(0.3, 1.4))
def test_without_pictures_it_is_average_linkage_of_squared_distances(seed: int, threshold: float) -> None:
    vectors = some_people(seed, 5, 3, noise=0.08) * np.random.default_rng(seed).uniform(0.8, 1.2, (15, 1))
    squares = ((vectors[:, None] - vectors) ** 2).sum(axis=2)
    oracle = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=threshold**2)
    labels = oracle.fit_predict(squares)
    expected = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels)}
    assert parts(group_faces(faces(vectors, unit_length=False), rule(threshold))) == expected


@settings(max_examples=25, deadline=None)
@given(seed=seeds, threshold=st.floats(0.6, 1.4), n_pictures=st.integers(3, 12))
def test_no_person_has_two_faces_of_one_picture_and_every_face_is_in_one_person(
    seed: int, threshold: float, n_pictures: int
) -> None:
    pictures = np.random.default_rng(seed).integers(n_pictures, size=24).tolist()
    grouping = group_faces(faces(some_people(seed, 6, 4), pictures), rule(threshold))
    for person in grouping.people:
        assert len({pictures[face] for face in person.faces}) == len(person.faces)
    assert sorted(face for person in grouping.people for face in person.faces) == list(range(24))
    assert all(face in grouping.people[grouping.person_of[face]].faces for face in range(24))
    assert [len(person.faces) for person in grouping.people] == sorted(
        (len(person.faces) for person in grouping.people), reverse=True
    )


@settings(max_examples=25, deadline=None)
@given(seed=seeds, threshold=st.floats(0.6, 1.2))
def test_the_order_of_the_faces_does_not_matter(seed: int, threshold: float) -> None:
    vectors, order = some_people(seed, 6, 4), np.random.default_rng(seed).permutation(24)
    pictures = np.random.default_rng(seed).integers(12, size=24)
    there = parts(group_faces(faces(vectors, pictures.tolist()), rule(threshold)))
    again = group_faces(faces(vectors[order], pictures[order].tolist()), rule(threshold))
    assert {frozenset(order[list(part)].tolist()) for part in parts(again)} == there


@settings(max_examples=25, deadline=None)
@given(seed=seeds, threshold=st.floats(0.6, 1.2))
def test_every_pair_of_people_that_is_left_is_too_far_apart_or_on_one_picture(seed: int, threshold: float) -> None:
    vectors, pictures = some_people(seed, 5, 4), np.random.default_rng(seed).integers(10, size=20).tolist()
    people = group_faces(faces(vectors, pictures), rule(threshold, 2.0)).people
    for one, other in combinations(people, 2):
        apart = {pictures[face] for face in one.faces}.isdisjoint(pictures[face] for face in other.faces)
        assert not apart or template_distance(vectors, one.faces, other.faces) >= threshold - 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds, mean_threshold=st.floats(0.8, 1.0))
def test_two_people_join_just_above_the_distance_that_is_told(seed: int, mean_threshold: float) -> None:
    vectors = some_people(seed, 4, 3, noise=0.07)
    people = group_faces(faces(vectors), rule(0.8, mean_threshold)).people
    told = [(each, each.rival) for each in people if each.rival is not None]
    nearest, rival = min(told, key=lambda each: each[1].distance)
    both = nearest.faces, people[rival.person].faces
    mean = mean_distance(vectors, *both)
    needed = template_distance(vectors, *both) if mean < mean_threshold else mean
    assert rival.distance == pytest.approx(needed, abs=1e-6)
    just_above = rival.distance + 1e-9
    looser = parts(group_faces(faces(vectors), rule(just_above, max(mean_threshold, just_above))))
    assert any(part >= {*both[0], *both[1]} for part in looser)


def test_a_person_who_would_be_two_with_a_stricter_threshold_is_in_doubt() -> None:
    first, second = some_people(1, 1, 8, noise=0.02), some_people(2, 1, 3, noise=0.02)
    vectors = np.concatenate([first, unit(0.62 * first[:3] + 0.5 * second)])
    distance = template_distance(vectors, range(8), (8, 9, 10))
    found, chosen = faces(vectors), rule(distance + 0.02, 2.0)
    (person,) = group_faces(found, chosen).people
    assert person.split is not None
    assert person.split.faces == (8, 9, 10)
    assert person.split.distance == pytest.approx(distance, abs=1e-6)
    sure = replace(chosen, threshold=distance + 0.06, surely_joined=distance + 0.01)
    assert [each.split for each in group_faces(found, sure).people] == [None]


def test_a_chain_of_look_alikes_does_not_join_strangers() -> None:
    angles = np.linspace(0, np.pi, 13)
    chain = np.zeros((13, 128))
    chain[:, 0], chain[:, 1] = np.cos(angles), np.sin(angles)
    step = 2 * np.sin(np.pi / 24)
    assert set(DBSCAN(eps=step + 0.01, min_samples=1).fit_predict(chain)) == {0}
    for person in group_faces(faces(chain), rule(0.9, 0.9)).people:
        distances = np.linalg.norm(chain[list(person.faces), None] - chain[list(person.faces)], axis=2)
        assert distances.max() < 1.3


def test_a_person_with_more_photos_than_neighbours_are_searched_stays_whole() -> None:
    vectors = np.concatenate([some_people(k, 1, 3 * NEIGHBOURS, noise=0.01) for k in (1, 1, 2)])
    vectors[: 3 * NEIGHBOURS] = unit(vectors[: 3 * NEIGHBOURS] + 0.04)  # two series of photos of the first person
    assert sorted(map(len, parts(group_faces(faces(vectors), rule(0.9))))) == [3 * NEIGHBOURS, 6 * NEIGHBOURS]


def test_two_faces_of_one_picture_are_told_to_look_alike() -> None:
    one, other = group_faces(faces(some_people(3, 1, 2), [7, 7]), rule(0.9)).people
    assert one.rival is not None
    assert (one.rival.person, one.rival.is_on_one_picture) == (1, True)
    assert one.doubtful_rival(rule(0.9)) is one.rival
    assert other.rival is not None
    assert other.rival.person == 0


def qualities(n: int, **measures: float) -> np.ndarray:
    values = np.full((n, len(MEASURES)), 60.0)  # more than enough of each
    for name, value in measures.items():
        values[:, MEASURES.index(name)] = value
    return values


@pytest.mark.parametrize(("measure", "value"), [("sharpness", 0.01), ("detector_score", 0.7), ("eye_distance_px", 9)])
def test_a_photo_that_is_too_poor_is_in_no_person(measure: str, value: float) -> None:
    measured = qualities(3)
    measured[1, MEASURES.index(measure)] = value
    found = FaceSet.by(CARD, some_people(4, 1, 3), np.arange(3), measured)
    grouping = group_faces(found, link_rule(CARD, 3))
    assert grouping.person_of.tolist() == [0, NO_PERSON, 0]
    assert [person.faces for person in grouping.people] == [(0, 2)]
    assert np.isnan(grouping.distances).tolist() == [False, True, False]


def test_without_any_face_there_are_no_people() -> None:
    vectors = np.empty((0, CARD.architecture.embedding_size), np.float32)
    grouping = group_faces(FaceSet.by(CARD, vectors, np.empty(0, np.int64), qualities(0)), link_rule(CARD, 0))
    assert (grouping.people, len(grouping.person_of), len(grouping.distances)) == ((), 0, 0)
    assert str(grouping.rule.n_wrong_links(0)) == "0.0"


def test_two_faces_that_are_covered_in_the_same_place_are_never_linked() -> None:
    vectors, measured = some_people(5, 1, 2, noise=0.001), qualities(2, mouth_visible=0.1)
    assert len(group_faces(FaceSet.by(CARD, vectors, np.arange(2), measured), link_rule(CARD, 2)).people) == 2
    measured[0, MEASURES.index("mouth_visible")] = 1
    assert len(group_faces(FaceSet.by(CARD, vectors, np.arange(2), measured), link_rule(CARD, 2)).people) == 1


def test_blur_in_both_photos_counts_as_in_a_comparison() -> None:
    (sharpness,) = (each for each in CARD.quality_penalties if each.measure == "sharpness")
    vectors, blur = some_people(6, 1, 2), sharpness.values[1]
    plain = template_distance(vectors, [0], [1])
    grouping = group_faces(FaceSet.by(CARD, vectors, np.arange(2), qualities(2, sharpness=blur)), rule(plain + 0.01))
    assert len(grouping.people) == 2
    rival = grouping.people[0].rival
    assert rival is not None
    assert rival.distance == pytest.approx(plain + sharpness.penalties[1], abs=1e-6)


def test_no_face_is_no_person() -> None:
    grouping = group_faces(faces(np.empty((0, 128)), []), rule(0.9))
    assert (grouping.people, len(grouping.person_of)) == ((), 0)


@pytest.mark.parametrize("n_faces", [1, 2, 1000, 10_000])
def test_by_default_at_most_one_wrong_link_is_expected_for_fifty_faces(n_faces: int) -> None:
    chosen, curve = link_rule(CARD, n_faces), fmr_curve(CARD)
    assert curve.strictest <= chosen.fmr <= MOST_FMR
    assert chosen.n_wrong_links(n_faces) <= WRONG_LINKS * n_faces * (1 + 1e-9)
    if n_faces == 10_000:
        assert chosen.n_wrong_links(n_faces) == pytest.approx(WRONG_LINKS * n_faces)


def test_beyond_the_evidence_of_the_card_the_strictest_rate_is_used_and_told() -> None:
    n_faces = 10_000_000
    chosen, curve = link_rule(CARD, n_faces), fmr_curve(CARD)
    assert chosen.fmr == pytest.approx(curve.strictest)
    assert chosen.n_wrong_links(n_faces) > WRONG_LINKS * n_faces


@pytest.mark.parametrize("fmr", [1e-12, 0.9])
def test_a_rate_that_the_card_does_not_carry_is_refused(fmr: float) -> None:
    with pytest.raises(GroupingError, match="does not carry an FMR of"):
        link_rule(CARD, 100, fmr)


def test_a_card_without_points_is_refused() -> None:
    with pytest.raises(GroupingError, match="run visavis calibrate"):
        link_rule(without_points(CARD), 100)


def without_points(card: ModelCard) -> ModelCard:
    facts = {"operating_points": (), "default_point": None, "calibration": None}
    return ModelCard.model_validate(dict(card) | facts)


def test_the_curve_passes_through_the_points_of_the_card_and_never_turns_back() -> None:
    curve = fmr_curve(CARD)
    for point in CARD.operating_points:
        assert point.fmr is not None
        assert curve.threshold(point.fmr) == pytest.approx(point.threshold)
        assert curve.fmr(point.threshold) == pytest.approx(point.fmr)
    rates = [curve.fmr(distance) for distance in np.linspace(0, 2, 101)]
    assert rates == sorted(rates)
