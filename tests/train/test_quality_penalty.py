"""The fit of what a poor photo costs, on made-up faces; test_calibrate_command has real photos."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from embedder import FaceEmbedder, QualityPenalty
from train.evaluation.embedding import COVERS, DEGRADATIONS
from train.evaluation.evaluation import EvaluationConfig
from train.evaluation.metrics import ScoreDistribution
from train.evaluation.protocols.protocol import ProtocolError
from train.evaluation.quality_penalty import (
    MOST_OF_ONE,
    N_BINS,
    DegradedFaces,
    copies_of,
    drawn_photos,
    fit_quality_penalties,
    monotone,
    needed_shift,
    penalty_of,
)

from .conftest import MadeUp

SHIFTS = st.lists(st.just(0.0) | st.floats(0, 0.5), min_size=N_BINS, max_size=N_BINS)


def kind(seed: int, blur: float) -> DegradedFaces:
    """150 people with two photos each; blur draws faces together and makes them less sharp."""
    generator = np.random.default_rng(seed)
    identities = np.repeat(np.arange(150), 2).astype(np.int32)
    people = np.repeat(generator.normal(0, 0.05, (150, 128)), 2, axis=0)
    pull = 0.25 * blur * generator.uniform(0.7, 1.3, (300, 1))
    vectors = ((people + generator.normal(0, 0.02, (300, 128))) * (1 - pull) + 0.05).astype(np.float32)
    sharpness = generator.uniform(0.6, 0.9, 300) * (1 - 3 * pull[:, 0])
    return DegradedFaces(vectors, identities, sharpness.astype(np.float32))


@pytest.fixture(scope="module")
def kinds() -> list[DegradedFaces]:
    return [kind(0, 0.0), kind(1, 0.5), kind(2, 1.0)]


@pytest.fixture(scope="module")
def thresholds(kinds: list[DegradedFaces]) -> dict[float, float]:
    """Those at which the photos that are not degraded have a fourth of each FMR: another population sets them."""
    distances = np.sort(kinds[0].impostor_pairs()[0])
    return {fmr: float(distances[int(fmr * len(distances) / 4)]) for fmr in (1e-2, 1e-3)}


@pytest.fixture(scope="module")
def penalty(kinds: list[DegradedFaces], thresholds: dict[float, float]) -> QualityPenalty:
    found = penalty_of("sharpness", kinds, thresholds)
    assert found is not None
    return found


def test_impostor_pairs_are_those_of_plain_loops() -> None:
    faces = kind(3, 0.5)
    some = DegradedFaces(faces.vectors[:12], faces.identities[:12], faces.values[:12])
    expected = [
        (
            float(np.linalg.norm(some.vectors[a].astype(float) - some.vectors[b])),
            max(some.values[a], some.values[b]),
        )
        for a, b in combinations(range(12), 2)
        if some.identities[a] != some.identities[b]
    ]
    distances, better = some.impostor_pairs()
    assert sorted(zip(distances.tolist(), better.tolist(), strict=True)) == [
        pytest.approx(pair) for pair in sorted(expected)
    ]


@given(st.lists(st.floats(0.5, 1.5), min_size=1, max_size=60), st.integers(1, 40))
def test_after_the_needed_shift_each_point_keeps_its_rate_and_one_has_no_room(values: list[float], times: int) -> None:
    distances = np.sort(np.repeat(values, 25 * times))
    thresholds = {fmr: threshold for fmr, threshold in ((1e-1, 1.1), (1e-2, 0.9)) if len(distances) * fmr >= 10}
    shift = needed_shift(ScoreDistribution.of(distances), {1e-1: 1.1, 1e-2: 0.9})
    for fmr, threshold in thresholds.items():
        assert (distances < threshold - shift - 1e-9).mean() <= fmr
    if shift > 0:
        assert any((distances < threshold - shift + 1e-6).mean() > fmr for fmr, threshold in thresholds.items())
    if not thresholds:
        assert shift == 0


@given(SHIFTS)
def test_penalties_never_rise_towards_sharpness_and_cover_what_is_needed_up_to_the_first_free_bin(
    shifts: list[float],
) -> None:
    found = monotone(shifts)
    free = shifts.index(0) if 0 in shifts else len(shifts) - 1
    assert found == sorted(found, reverse=True)
    assert found == [max(shifts[k:free]) if k < free else 0 for k in range(len(shifts))]


def test_the_knots_are_the_medians_of_bins_and_the_penalties_their_shifts(
    kinds: list[DegradedFaces], thresholds: dict[float, float], penalty: QualityPenalty
) -> None:
    """Each bin by sorting all pairs, without the code that is tested."""
    pairs = [pair for each in kinds for pair in zip(*(part.tolist() for part in each.impostor_pairs()), strict=True)]
    ordered = np.array(sorted(pairs, key=lambda pair: pair[1]))
    edges = np.linspace(0, len(ordered), N_BINS + 1).round().astype(int)
    for k, (value, cost) in enumerate(zip(penalty.values, penalty.penalties, strict=True)):
        distances = np.sort(ordered[edges[k] : edges[k + 1], 0])
        assert value == pytest.approx(np.median(ordered[edges[k] : edges[k + 1], 1]), rel=1e-3)
        needed = [
            threshold - distances[int(fmr * len(distances))]
            for fmr, threshold in thresholds.items()
            if len(distances) * fmr >= 10
        ]
        assert cost >= max(0, *needed) - 1e-3 or k == len(penalty.values) - 1
    assert penalty.penalties[0] == pytest.approx(max(penalty.penalties))


def test_with_the_penalty_every_kind_keeps_its_rates_and_without_it_one_had_many_times_as_many(
    kinds: list[DegradedFaces], thresholds: dict[float, float], penalty: QualityPenalty
) -> None:
    for fmr, threshold in thresholds.items():
        for each in kinds:
            distances, better = each.impostor_pairs()
            assert (distances + penalty.of(better) < threshold).mean() <= 1.5 * fmr
    distances, _ = kinds[2].impostor_pairs()
    assert (distances < thresholds[1e-2]).mean() > 5 * 1e-2


def test_sharp_photos_cost_nothing_and_the_poorest_kind_gives_the_least_value(
    kinds: list[DegradedFaces], penalty: QualityPenalty
) -> None:
    assert penalty.of(np.quantile(kinds[0].values, 0.9)) == 0
    assert penalty.usual == pytest.approx(np.median(kinds[0].values), rel=1e-5)
    hundredths = 100 * np.quantile(kinds[2].values, 0.01)
    assert penalty.min_value == pytest.approx(int(hundredths) / 100)
    assert (kinds[0].values >= penalty.min_value).all()


def test_the_same_faces_give_the_same_penalty(
    kinds: list[DegradedFaces], thresholds: dict[float, float], penalty: QualityPenalty
) -> None:
    assert penalty_of("sharpness", kinds, thresholds) == penalty


def test_where_poor_photos_make_no_more_false_matches_there_is_no_penalty(kinds: list[DegradedFaces]) -> None:
    assert penalty_of("sharpness", kinds, {1e-2: 0.01, 1e-3: 0.01}) is None


def test_the_photos_drawn_are_of_many_people_and_show_a_face(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    compared = made_up(120, 9, n_failed=5)
    drawn, again, other = (drawn_photos(compared, seed) for seed in (1, 1, 2))
    assert drawn == again != other
    assert set(Counter(photo.identity for photo in drawn).values()) == {MOST_OF_ONE}
    assert not set(drawn) & set(compared.protocol.photos[:5])
    copies = copies_of(drawn[:3])
    assert [copy.degradation for copy in copies[::3]] == [None, *DEGRADATIONS, *COVERS]
    with pytest.raises(ProtocolError, match=r"photos of 99 people with a usable face are too few .* needs 100"):
        fit_quality_penalties(made_up(100, 3, n_failed=3), EvaluationConfig(embedder, "largest"))
