"""Operating points that hold on the worst of several populations, and images that lie under two people."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from penalty_bundle import RULE

from embedder import FaceEmbedder, ModelCard, OperatingPoint
from train.evaluation.bootstrap import Resampling
from train.evaluation.calibration import Population, PopulationFacts, calibrate
from train.evaluation.compared import ComparedPhotos, compare_photos
from train.evaluation.data_checks import calibration_cautions
from train.evaluation.evaluation import EvaluationConfig
from train.evaluation.metrics import ScoreDistribution
from train.evaluation.operating_points import FMRS, choose_threshold
from train.evaluation.protocols.protocol import ProtocolError

from .conftest import MadeUp, made_up_people

GRID = 1e-5  # thresholds are rounded down to steps no larger than this
DRAWS = Resampling(100, 0)


def card_of(embedder: FaceEmbedder, main: ComparedPhotos, **further: ComparedPhotos) -> ModelCard:
    described = [Population(each, PopulationFacts(name, f"{name}.")) for name, each in further.items()]
    setting = EvaluationConfig(embedder, "largest", resampling=DRAWS)
    return calibrate(main, setting, PopulationFacts("main", "Nobody."), further=described)


def distances_of(compared: ComparedPhotos) -> tuple[np.ndarray, np.ndarray]:
    """Genuine and impostor distances, one by one, impostors sorted."""
    vectors, people = compared.embedded.vectors.astype(float), compared.protocol.identities
    first, second = np.triu_indices(len(vectors), 1)
    distances = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    same = people[first] == people[second]
    return distances[same], np.sort(distances[~same])


def loosest(impostor: np.ndarray, fmr: float) -> float:
    """The largest distance that at most this share of the comparisons is below."""
    return float(impostor[int(fmr * len(impostor) + 1e-9)])


def scaled(compared: ComparedPhotos, factor: float) -> ComparedPhotos:
    """The same people, all so many times as far from each other."""
    embedded = replace(compared.embedded, vectors=compared.embedded.vectors * np.float32(factor))
    return compare_photos(compared.protocol, embedded, seed=0)


@pytest.fixture(scope="module")
def populations() -> dict[str, ComparedPhotos]:
    """Main photos; people nearer to each other, but few; people farther apart."""
    return {
        "main": made_up_people(220, 3, spread=0.11),
        "near": scaled(made_up_people(60, 3, seed=1, spread=0.11), 0.98),
        "far": scaled(made_up_people(250, 2, seed=2), 1.5),
    }


def test_a_threshold_is_the_smallest_of_those_of_the_populations_that_carry_its_fmr(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    impostors = {name: distances_of(each)[1] for name, each in populations.items()}
    points = card_of(embedder, populations["main"], near=populations["near"], far=populations["far"]).operating_points
    assert [(point.name, point.population) for point in points] == [
        ("fmr-1e-2", "near"),
        ("fmr-1e-3", "near"),
        ("fmr-1e-4", "main"),
    ]
    for point in points:
        fmr = FMRS[point.name]
        carrying = {name: each for name, each in impostors.items() if len(each) * fmr >= 10}
        assert point.threshold == pytest.approx(min(loosest(each, fmr) for each in carrying.values()), abs=GRID)
        for each in carrying.values():
            assert (each < point.threshold).mean() <= fmr


def test_a_point_has_the_fmr_of_the_population_that_set_it_and_the_fnmr_of_the_main_photos(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    genuine = distances_of(populations["main"])[0]
    n_people = {"main": 220, "near": 60, "far": 250}
    for point in card_of(embedder, **populations).operating_points:
        impostor = distances_of(populations[str(point.population)])[1]
        assert point.fmr == pytest.approx((impostor < point.threshold).mean(), rel=1e-5)
        assert point.fnmr == pytest.approx((genuine >= point.threshold).mean(), rel=1e-5)
        counts = n_people[str(point.population)], len(genuine), len(impostor)
        assert (point.n_identities, point.n_genuine, point.n_impostor) == counts
        for rate, interval in ((point.fmr, point.fmr_interval), (point.fnmr, point.fnmr_interval)):
            assert rate is not None
            assert interval is not None
            assert interval[0] <= rate <= interval[1]


def test_the_interval_of_a_point_is_that_of_the_population_alone(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    both = card_of(embedder, populations["main"], near=populations["near"]).operating_points[1]
    alone = card_of(embedder, populations["near"]).operating_points[1]
    assert (both.threshold, both.fmr, both.fmr_interval) == (alone.threshold, alone.fmr, alone.fmr_interval)
    assert both.fnmr != alone.fnmr


def test_a_population_with_too_few_comparisons_for_a_point_is_named_in_its_note(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    loose, middle, strict = card_of(embedder, **populations).operating_points
    for point in (loose, middle):
        assert "in every population that has enough of them" in point.note
        assert "Too few" not in point.note
    assert "Too few comparisons for this rate: near." in strict.note
    assert "The strictest that 216,810 of them carry; fmr-1e-5 takes 1,000,000" in strict.note


def test_a_further_population_can_carry_points_that_the_main_photos_do_not(
    embedder: FaceEmbedder, made_up: MadeUp
) -> None:
    card = card_of(embedder, made_up(30, 3, spread=0.09), large=made_up(220, 3, seed=1))
    assert [point.name for point in card.operating_points] == ["fmr-1e-2", "fmr-1e-3", "fmr-1e-4"]
    assert [point.population for point in card.operating_points[1:]] == ["large", "large"]
    assert card.default_point == "fmr-1e-3"
    assert {point.n_genuine for point in card.operating_points} == {90}


def test_the_evidence_is_that_of_the_main_photos(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    alone, together = card_of(embedder, populations["main"]), card_of(embedder, **populations)
    assert alone.calibration is not None
    assert together.calibration is not None
    assert together.calibration.log_likelihood_ratio == alone.calibration.log_likelihood_ratio
    assert together.calibration.data == alone.calibration.data
    assert [(data.name, data.population) for data in together.calibration.populations] == [
        ("near", "near."),
        ("far", "far."),
    ]


def test_a_card_of_one_population_says_nothing_of_populations(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    told = card_of(embedder, populations["main"]).to_json()
    assert '"populations"' not in told
    assert told.count('"population"') == 1  # whom the photos show
    many = card_of(embedder, **populations).to_json()
    assert '"populations"' in many
    assert ModelCard.model_validate_json(many).to_json() == many


def test_a_population_too_small_for_any_point_is_refused_by_its_name(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    with pytest.raises(
        ProtocolError, match=r"few: 495 impostor comparisons are too few for an FMR of 0\.01, which needs"
    ):
        card_of(embedder, made_up(60, 3), few=made_up(11, 3, seed=1))


def test_points_with_a_penalty_are_those_of_the_worst_population_too(
    embedder: FaceEmbedder, populations: dict[str, ComparedPhotos]
) -> None:
    def points(main: str, *others: str) -> dict[str, OperatingPoint]:
        further = [Population(populations[each], PopulationFacts(each, "x")) for each in others]
        setting = EvaluationConfig(embedder, "largest", resampling=DRAWS)
        card = calibrate(populations[main], setting, PopulationFacts(main, "x"), RULE, further)
        assert card.quality_penalties == RULE
        return {point.name: point for point in card.operating_points}

    alone = {name: points(name) for name in populations}
    most = float("inf")
    for name, point in points("main", "near", "far").items():
        of_each = {each: found[name].threshold for each, found in alone.items() if name in found}
        most = min(most, *of_each.values())
        assert (point.threshold, point.population) == (most, min(of_each, key=of_each.__getitem__))


def test_with_a_penalty_points_and_evidence_are_of_distances_with_it(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    compared = made_up(60, 3, spread=0.09)
    sharpness = compared.embedded.measures[:, 1].astype(float)
    vectors, people = compared.embedded.vectors.astype(float), compared.protocol.identities
    first, second = np.triu_indices(len(vectors), 1)
    distances = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    distances += np.minimum(RULE[0].of(sharpness[first]), RULE[0].of(sharpness[second]))
    same = people[first] == people[second]
    setting = EvaluationConfig(embedder, "largest", resampling=DRAWS)
    card = calibrate(compared, setting, PopulationFacts("main", "x"), RULE)
    for point in card.operating_points:
        assert point.threshold == pytest.approx(loosest(np.sort(distances[~same]), FMRS[point.name]), abs=GRID)
        assert point.fnmr == pytest.approx((distances[same] >= point.threshold).mean(), rel=1e-5)
    assert card.ratio != calibrate(compared, setting, PopulationFacts("main", "x")).ratio


SCORES = st.lists(st.integers(0, 400).map(lambda k: 0.2 + k / 1000), min_size=1, max_size=30)


def many_of(scores: list[float], n: int) -> ScoreDistribution:
    """So many comparisons, as often of each score."""
    values = np.unique(scores)
    return ScoreDistribution.weighted(values, np.full(len(values), n / len(values)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SCORES, st.sampled_from([10**3, 10**4, 10**5, 10**7])), min_size=1, max_size=4))
def test_no_point_is_looser_than_a_looser_one_and_each_keeps_its_fmr_on_all_that_carry_it(
    made: list[tuple[list[float], int]],
) -> None:
    impostors = [many_of(scores, n) for scores, n in made]
    chosen = choose_threshold(impostors)
    assert [each.name for each in chosen] == list(FMRS)[: int(np.log10(max(n for _, n in made))) - 2]
    for point in chosen:
        assert point.setter in point.carried_by
        for k, (_, n) in enumerate(made):
            assert (k in point.carried_by) is (n * FMRS[point.name] >= 10 - 1e-6)
        for k in point.carried_by:
            assert float(impostors[k].share_below(point.threshold)) <= FMRS[point.name] * (1 + 1e-9)
    thresholds = [each.threshold for each in chosen]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_point_that_would_be_looser_than_a_looser_one_has_its_threshold(
    embedder: FaceEmbedder, made_up: MadeUp
) -> None:
    """The few people lie so near to each other that their point at 0.1% is stricter than others' at 0.01%."""
    main, near = made_up(220, 3), scaled(made_up(60, 3, seed=1), 0.75)
    middle, strict = card_of(embedder, main, near=near).operating_points[1:]
    impostor = distances_of(main)[1]
    assert (middle.population, strict.population) == ("near", "main")
    assert strict.threshold == middle.threshold < loosest(impostor, 1e-4)
    assert strict.fmr == pytest.approx((impostor < strict.threshold).mean(), rel=1e-5)
    assert "The threshold of fmr-1e-3: the one for this rate alone would be looser." in strict.note


def with_doubles(compared: ComparedPhotos, pairs: list[tuple[int, int]]) -> ComparedPhotos:
    """The same with photos that are other ones to the byte, so that their embeddings are too."""
    digests, vectors = list(compared.embedded.image_digests), compared.embedded.vectors.copy()
    for copy, original in pairs:
        digests[copy], vectors[copy] = digests[original], vectors[original]
    embedded = replace(compared.embedded, image_digests=tuple(digests), vectors=vectors)
    return compare_photos(compared.protocol, embedded, seed=0)


def test_images_under_two_people_are_compared_with_nobody(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    doubled = with_doubles(made_up(60, 3, spread=0.09), [(4, 100), (8, 120), (30, 31)])  # the last are one person's
    people, vectors = doubled.protocol.identities, doubled.embedded.vectors
    kept = np.delete(np.arange(180), [4, 100, 8, 120])
    first, second = kept[np.stack(np.triu_indices(len(kept), 1))]
    distances = np.linalg.norm(vectors[first].astype(float) - vectors[second].astype(float), axis=1)
    same = people[first] == people[second]
    for point in card_of(embedder, doubled).operating_points:
        assert (point.n_genuine, point.n_impostor) == (same.sum(), (~same).sum())
        assert point.fmr == pytest.approx((distances[~same] < point.threshold).mean(), rel=1e-5)
        assert point.fnmr == pytest.approx((distances[same] >= point.threshold).mean(), rel=1e-5)
        assert point.threshold == pytest.approx(loosest(np.sort(distances[~same]), FMRS[point.name]), abs=GRID)


def test_a_person_of_whom_all_images_are_anothers_too_is_not_counted(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    doubled = with_doubles(made_up(60, 3), [(0, 60), (1, 61), (2, 62)])
    card = card_of(embedder, doubled)
    assert {point.n_identities for point in card.operating_points} == {58}
    assert card.calibration is not None
    assert (card.calibration.data.n_identities, card.calibration.data.n_images) == (60, 180)


def test_one_face_in_two_files_under_two_people_is_refused(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    """Not the same bytes, so no program knows; but at distance 0 no threshold can tell the people apart."""
    compared = made_up(60, 3)
    vectors = compared.embedded.vectors.copy()
    vectors[:90] = vectors[0]
    same = compare_photos(compared.protocol, replace(compared.embedded, vectors=vectors), seed=0)
    with pytest.raises(ProtocolError, match="main: photos of two people are at distance 0"):
        card_of(embedder, same)


def test_photos_without_a_face_and_other_files_are_told_with_the_first_names() -> None:
    compared = made_up_people(30, 3, n_failed=7)
    told = list(calibration_cautions(replace(compared, protocol=replace(compared.protocol, n_other_files=4))))
    assert told[0].startswith("photos without a usable face are left out: 00000/0.jpg (")
    assert told[0].endswith(" and 2 more, which evaluate --json lists")
    assert told[1].startswith("4 other files in the folder of made-up people are not photos by name")
    assert not list(calibration_cautions(made_up_people(30, 3)))
