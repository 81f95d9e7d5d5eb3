"""Open-set identification: against plain counting, scikit-learn, and the rate that all galleries have on average."""

from collections.abc import Callable
from dataclasses import replace
from math import comb, inf

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics import det_curve, top_k_accuracy_score

from embedder import ModelCard, read_bundle
from gallery import claim_for
from train.evaluation import searches as module
from train.evaluation.all_pairs import ComparedFaces
from train.evaluation.bootstrap import Resampling, interval
from train.evaluation.compared import ComparedPhotos
from train.evaluation.identification import FPIR_TARGETS, evaluate_identification
from train.evaluation.protocols.protocol import ProtocolError
from train.evaluation.results import Estimate, GalleryResult, IdentificationClaim
from train.evaluation.scores import Penalties
from train.evaluation.scoring import Scoring
from train.evaluation.searches import (
    GalleryDraw,
    SearchedGalleries,
    distinct_faces,
    draw_gallery,
    gallery_sizes,
    mated_searches,
    non_mated_searches,
    search_galleries,
)

MadeUp = Callable[..., ComparedPhotos]
FEW = Resampling(100, 0)
ALIKE = 0.2  # a spread at which another person is often nearer: genuine distances are about 1.6, impostor ones 1.8


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_bundle().card


def with_penalties(compared: ComparedPhotos) -> ComparedPhotos:
    """Give every photo two penalties, as large as the distances are spread."""
    n = len(compared.protocol.photos)
    penalties = Penalties(np.random.default_rng(5).uniform(0, 0.2, size=(2, n)))
    return replace(compared, scoring=Scoring("normalized", penalties))


def score_of(faces: ComparedFaces, probe: int, template: int) -> float:
    distance = float(np.linalg.norm(faces.vectors[probe] - faces.vectors[template]))
    penalties = [] if faces.penalties is None else faces.penalties.of_faces.tolist()
    return distance + sum(min(of_faces[probe], of_faces[template]) for of_faces in penalties)


def scores_of_people(faces: ComparedFaces, draw: GalleryDraw, probe: int) -> dict[int, float]:
    """The score of each person of the gallery: that of the best template, counted one by one."""
    scores: dict[int, float] = {}
    for template in draw.templates.tolist():
        person = int(faces.identities[template])
        scores[person] = min(scores.get(person, inf), score_of(faces, probe, template))
    return scores


def drawn(compared: ComparedPhotos, n_people: int, n_templates: int) -> tuple[ComparedFaces, GalleryDraw]:
    faces = distinct_faces(compared)
    return faces, draw_gallery(faces.identities, n_people, n_templates, np.random.default_rng(1))


@pytest.fixture(params=[False, True], ids=["plain", "normalized"])
def compared(request: pytest.FixtureRequest, made_up: MadeUp) -> ComparedPhotos:
    photos = made_up(24, 4, spread=ALIKE, n_each_of_others=3)
    return with_penalties(photos) if request.param else photos


@pytest.mark.parametrize("n_templates", [1, 2])
def test_a_mated_search_finds_the_person_whom_plain_counting_finds(compared: ComparedPhotos, n_templates: int) -> None:
    faces, draw = drawn(compared, 12, n_templates)
    (found,) = mated_searches(faces, draw)
    assert found[1].tolist() == draw.mated.tolist()
    for score, probe in zip(found[0].tolist(), found[1].tolist(), strict=True):
        people = scores_of_people(faces, draw, probe)
        own = people.pop(int(faces.identities[probe]))
        assert score == pytest.approx(own if own < min(people.values()) else inf)
    assert 0 < np.isinf(found[0]).sum() < len(found[0])


@pytest.mark.parametrize("n_templates", [1, 2])
def test_a_non_mated_search_finds_the_nearest_person_of_the_gallery(compared: ComparedPhotos, n_templates: int) -> None:
    faces, draw = drawn(compared, 12, n_templates)
    (found,) = non_mated_searches(faces, draw)
    assert found[1].tolist() == draw.non_mated.tolist()
    for score, probe, template in zip(*found, strict=True):
        people = scores_of_people(faces, draw, probe)
        assert score == pytest.approx(min(people.values()))
        assert people[int(faces.identities[template])] == min(people.values())


def test_searches_in_parts_find_the_same(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    faces, draw = drawn(made_up(24, 3, spread=ALIKE), 12, 2)
    kinds = (mated_searches, non_mated_searches)
    at_once = [next(kind(faces, draw)) for kind in kinds]
    monkeypatch.setattr(module, "MAX_SCORES", 5 * len(draw.templates))
    for kind, whole in zip(kinds, at_once, strict=True):
        parts = list(kind(faces, draw))
        assert [len(part[0]) for part in parts] == [5, 5, 2]
        for column, expected in zip(zip(*parts, strict=True), whole, strict=True):
            assert np.allclose(np.concatenate(column), expected)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.integers(1, 4), st.data())
def test_a_draw_has_each_person_in_one_part_and_each_photo_in_one_place(
    identities: list[int], n_templates: int, data: st.DataObject
) -> None:
    of_photos = np.array(identities, np.int32)
    people, n_photos = np.unique(of_photos, return_counts=True)
    n_people = data.draw(st.integers(1, len(people)))
    draw = draw_gallery(of_photos, n_people, n_templates, np.random.default_rng(data.draw(st.integers(0, 99))))
    enrolled, mated, non_mated = (of_photos[part].tolist() for part in (draw.templates, draw.mated, draw.non_mated))
    assert enrolled == sorted(enrolled)
    assert len(set(enrolled)) == n_people
    assert sorted({*enrolled} | {*non_mated}) == people.tolist()
    assert sorted(mated) == [k for k in sorted(set(enrolled)) if n_photos[people == k] > 1]
    assert len(set(non_mated)) == len(non_mated) == len(people) - n_people
    photos = [*draw.templates.tolist(), *draw.mated.tolist(), *draw.non_mated.tolist()]
    assert len(set(photos)) == len(photos)
    for person, n in zip(people.tolist(), n_photos.tolist(), strict=True):
        assert enrolled.count(person) in {0, min(n_templates, max(n - 1, 1))}


def test_every_person_and_every_photo_has_the_same_chance(made_up: MadeUp) -> None:
    faces, generator = distinct_faces(made_up(10, 3)), np.random.default_rng(0)
    draws = [draw_gallery(faces.identities, 5, 1, generator) for _ in range(2000)]
    for part, expected in (("templates", 2000 * 5 / 30), ("mated", 2000 * 5 / 30), ("non_mated", 2000 * 5 / 30)):
        times = np.bincount(np.concatenate([getattr(draw, part) for draw in draws]), minlength=30)
        assert np.abs(times - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("n_people", "sizes"),
    [
        (2, (1,)),
        (20, (10,)),
        (21, (10,)),
        (22, (10, 11)),
        (963, (10, 100, 481)),
        (2000, (10, 100, 1000)),
        (3000, (10, 100, 1000, 1500)),
    ],
)
def test_galleries_grow_tenfold_up_to_half_of_the_people(n_people: int, sizes: tuple[int, ...]) -> None:
    assert gallery_sizes(n_people) == sizes


def searched(compared: ComparedPhotos, n_templates: int = 1, seed: int = 0) -> SearchedGalleries:
    """The searches of the largest galleries."""
    return search_galleries(compared, n_templates, seed)[-1]


def result(compared: ComparedPhotos, card: ModelCard, n_templates: int = 1) -> GalleryResult:
    return evaluate_identification(compared, card, n_templates, FEW).galleries[-1]


def with_thresholds(card: ModelCard, *thresholds: float) -> ModelCard:
    """A card with as many of its points, at other thresholds."""
    points = [
        point.model_copy(update={"threshold": threshold})
        for point, threshold in zip(card.operating_points, thresholds, strict=False)
    ]
    return card.model_copy(update={"operating_points": tuple(points)})


def test_the_rates_are_those_of_scikit_learn(made_up: MadeUp, card: ModelCard) -> None:
    compared = made_up(60, 3, spread=ALIKE)
    scores = searched(compared).scores
    mated, non_mated = scores.genuine.sample.values, scores.impostor.sample.values
    assert 0 < np.isinf(mated).sum() < len(mated)
    nearness = -np.concatenate([np.where(np.isinf(mated), 9.0, mated), non_mated])
    fpir, fnir, thresholds = det_curve(np.repeat([1, 0], [len(mated), len(non_mated)]), nearness)
    found = result(compared, with_thresholds(card, 1.7, 1.6, 1.5, 1.4))
    assert found.at_fpir[0].fnir.value == pytest.approx(fnir[fpir <= 0.1 * (1 + 1e-9)].min())
    for claim in found.claims:
        below = -thresholds < claim.threshold
        assert claim.fpir.value == pytest.approx(fpir[below].max())
        assert claim.fnir.value == pytest.approx(fnir[below].min())


def test_rank_1_is_that_of_scikit_learn(made_up: MadeUp, card: ModelCard) -> None:
    compared = made_up(40, 3, spread=ALIKE)
    faces, draw = drawn(compared, 20, 2)
    people = np.unique(faces.identities[draw.templates])
    of_probes = [scores_of_people(faces, draw, probe) for probe in draw.mated.tolist()]
    nearness = [[-scores[person] for person in people.tolist()] for scores in of_probes]
    expected = top_k_accuracy_score(faces.identities[draw.mated], np.array(nearness), k=1, labels=people)
    (found,) = mated_searches(faces, draw)
    assert np.isfinite(found[0]).mean() == pytest.approx(expected)
    assert 0 < expected < 1
    scores = searched(compared).scores.genuine.sample.values
    assert result(compared, card).rank_1.value == pytest.approx(np.isfinite(scores).mean())


def test_the_measured_fpir_is_near_that_of_all_galleries_there_could_be(made_up: MadeUp) -> None:
    """Of a probe near m of the other P - 1 people, C(P - 1 - m, N) of C(P - 1, N) galleries find nobody."""
    n_people, threshold = 40, 0.8
    faces = distinct_faces(made_up(n_people, 1))
    distances = np.linalg.norm(faces.vectors[:, None] - faces.vectors, axis=2)
    near = (distances < threshold).sum(axis=1) - 1
    n = n_people // 2
    exact = np.mean([1 - comb(n_people - 1 - m, n) / comb(n_people - 1, n) for m in near.tolist()])
    found = float(searched(made_up(n_people, 1)).scores.impostor.tally.share_below(threshold))
    assert 0.1 < exact < 0.9
    assert found == pytest.approx(exact, abs=0.03)


def test_each_resample_counts_a_search_by_its_people(made_up: MadeUp, card: ModelCard) -> None:
    """Written out: a non-mated search counts times its person's draws, times those of the person whom it found."""
    compared = made_up(30, 2, spread=ALIKE)
    claim = result(compared, with_thresholds(card, 1.7, 1.6, 1.5)).claims[0]
    assert claim.threshold is not None
    scores = searched(compared).scores
    impostor, identities = scores.impostor.sample, scores.identities
    rates = []
    for seed in np.random.SeedSequence(0).spawn(FEW.n_resamples):
        times = np.bincount(np.random.default_rng(seed).integers(30, size=30), minlength=30)
        weights = [
            int(times[identities[probe]] * times[identities[found]])
            for probe, found in zip(impostor.probe.tolist(), impostor.reference.tolist(), strict=True)
        ]
        identified = [
            weight for weight, score in zip(weights, impostor.values.tolist(), strict=True) if score < claim.threshold
        ]
        rates.append(sum(identified) / sum(weights))
    assert 0.05 < (claim.fpir.value or 0) < 0.95
    assert claim.fpir.interval == pytest.approx(interval(np.array(rates)))


def test_the_same_picture_twice_under_one_person_does_not_find_itself(made_up: MadeUp) -> None:
    compared = made_up(6, 2)
    digests = list(compared.embedded.image_digests)
    digests[1] = digests[0]
    once = distinct_faces(replace(compared, embedded=replace(compared.embedded, image_digests=tuple(digests))))
    assert once.photos.tolist() == [0, *range(2, 12)]
    digests[1], digests[2] = compared.embedded.image_digests[1], digests[0]
    of_two = replace(compared, embedded=replace(compared.embedded, image_digests=tuple(digests)))
    assert len(distinct_faces(of_two).photos) == 12  # counted as labelled; the evaluation has a caution


def test_photos_without_a_face_and_refused_ones_take_no_part(made_up: MadeUp) -> None:
    compared = made_up(6, 2, n_failed=1)
    refused = np.zeros(12, bool)
    refused[4] = True
    faces = distinct_faces(replace(compared, scoring=Scoring(refused=refused)))
    assert faces.photos.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert faces.identities.tolist() == [0, 1, 1, 2, 3, 3, 4, 4, 5, 5]


def test_a_tie_with_another_person_is_no_identification(made_up: MadeUp) -> None:
    compared = made_up(2, 2)
    vectors = np.repeat(compared.embedded.vectors[:1], 4, axis=0)
    faces = distinct_faces(replace(compared, embedded=replace(compared.embedded, vectors=vectors)))
    ((scores, _, _),) = mated_searches(faces, GalleryDraw(*(np.array(part, np.int32) for part in ([0, 2], [1, 3], []))))
    assert scores.tolist() == [inf, inf]


def test_two_people_are_needed(made_up: MadeUp) -> None:
    with pytest.raises(ProtocolError, match="usable photos of two people, and there are 1"):
        search_galleries(made_up(3, 2, n_failed=4), 1, 0)


def test_one_person_in_the_gallery_and_one_outside_are_enough(made_up: MadeUp, card: ModelCard) -> None:
    (found,) = evaluate_identification(made_up(2, 2), card, 1, FEW).galleries
    assert (found.n_people, found.n_templates, found.n_mated, found.n_non_mated) == (1, 1, 100, 100)
    assert found.rank_1.value == 1
    assert [each.fnir for each in found.at_fpir] == [Estimate(None, None)] * len(FPIR_TARGETS)


def test_people_with_one_photo_are_enrolled_and_not_searched_for(made_up: MadeUp, card: ModelCard) -> None:
    (found,) = evaluate_identification(made_up(12, 1), card, 1, FEW).galleries
    assert (found.n_people, found.n_templates, found.n_mated, found.n_non_mated) == (6, 6, 0, 600)
    assert (found.rank_1, found.claims[0].fnir) == (Estimate(None, None),) * 2
    assert found.claims[0].fpir.value is not None


def test_the_same_seed_draws_the_same_galleries_and_another_one_others(made_up: MadeUp) -> None:
    compared = made_up(30, 3)
    one, again, other = (searched(compared, seed=seed).scores.impostor.sample for seed in (0, 0, 1))
    assert one.values.tobytes() == again.values.tobytes()
    assert one.values.tobytes() != other.values.tobytes()


def test_more_people_are_searched_for_in_fewer_draws(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = made_up(30, 2)
    for limit, n_draws in ((10**6, 100), (30 * 25, 25), (1, 10)):
        monkeypatch.setattr(module, "MAX_SEARCHES", limit)
        found = searched(compared)
        assert (found.n_draws, found.scores.genuine.tally.n) == (n_draws, 15 * n_draws)


def test_more_templates_of_a_person_find_more_of_them(made_up: MadeUp, card: ModelCard) -> None:
    compared = made_up(40, 5, spread=ALIKE)
    one, four = (result(compared, card, n) for n in (1, 4))
    assert (one.n_templates, four.n_templates) == (20, 80)
    assert (four.rank_1.value or 0) > (one.rank_1.value or 0)
    assert {claim.claimed_fnir.value for claim in four.claims} == {None}  # the card speaks of one template
    assert None not in {claim.claimed_fnir.value for claim in one.claims}


def test_the_claims_are_those_of_an_identification_with_so_many_templates(made_up: MadeUp, card: ModelCard) -> None:
    found = result(made_up(40, 5, spread=ALIKE), card, 4)
    assert [each.asked_fpir for each in found.claims] == list(FPIR_TARGETS)
    for each in found.claims:
        claim = claim_for(card, fpir=each.asked_fpir, n_templates=80)
        assert (each.threshold, each.claimed_fpir) == (claim.threshold, Estimate(claim.fpir, claim.fpir_interval))


def test_what_the_card_does_not_carry_is_not_claimed(made_up: MadeUp, card: ModelCard) -> None:
    loose = card.model_copy(update={"operating_points": card.operating_points[:2]})  # of an FMR of 1% and of 0.1%
    nothing = card.model_copy(update={"operating_points": (), "calibration": None})
    found, without = (result(made_up(60, 2), each) for each in (loose, nothing))
    assert [each.threshold is None for each in found.claims] == [False, True, True]
    assert [each.threshold is None for each in without.claims] == [True] * 3
    assert {(each.fpir, each.fnir, each.holds) for each in without.claims} == {(Estimate(None, None),) * 2 + (None,)}
    assert without.rank_1.value == 1


def test_a_rate_is_stated_where_ten_false_matches_are_expected(made_up: MadeUp, card: ModelCard) -> None:
    """60 people with one photo make 1,770 comparisons; each counts once, however often galleries are drawn."""
    found = result(made_up(60, 1), card)
    assert found.curve.fmr.min() >= 30 * 10 / 1770 > max(FPIR_TARGETS)
    assert [each.threshold for each in found.at_fpir] == [None] * 3
    assert [each.is_carried for each in found.claims] == [False] * 3
    more = result(made_up(120, 1), card)  # 7,140 comparisons, galleries of 60
    assert [each.threshold is None for each in more.at_fpir] == [False, True, True]
    assert [each.is_carried for each in more.claims] == [True, False, False]


def claim(measured: Estimate, *, is_carried: bool = True) -> IdentificationClaim:
    none = Estimate(None, None)
    return IdentificationClaim(0.01, 1.0, Estimate(0.01, (0.008, 0.012)), none, measured, none, is_carried)


def test_a_claimed_fpir_is_judged_as_a_claimed_fmr() -> None:
    assert claim(Estimate(0.0149, (0.0119, 0.02))).holds is True
    assert claim(Estimate(0.0151, (0.0119, 0.02))).holds is None
    assert claim(Estimate(0.0151, (0.0121, 0.02))).holds is False
    assert claim(Estimate(0.0149, (0.0119, 0.02)), is_carried=False).holds is None
    assert claim(Estimate(0.0149, None)).holds is None
