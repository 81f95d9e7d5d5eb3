"""Operating points by error rate and the evidence of a distance, from photos to a card."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from embedder import FaceEmbedder, ModelCard
from train.evaluation import evidence
from train.evaluation.bootstrap import Resampling
from train.evaluation.calibration import PopulationFacts, calibrate, evidence_from
from train.evaluation.compared import ComparedPhotos
from train.evaluation.evaluation import EvaluationConfig, evaluate_compared
from train.evaluation.metrics import ScoreDistribution
from train.evaluation.protocols.protocol import ProtocolError

from .conftest import MadeUp

DESCRIBED = PopulationFacts("made-up people", "Nobody.")


def card_of(embedder: FaceEmbedder, compared: ComparedPhotos, seed: int = 0) -> ModelCard:
    return calibrate(compared, EvaluationConfig(embedder, "largest", resampling=Resampling(200, seed)), DESCRIBED)


def test_each_point_has_the_loosest_threshold_whose_fmr_is_at_most_its_own(
    embedder: FaceEmbedder, made_up: MadeUp
) -> None:
    compared = made_up(300, 3)
    distances = compared.scores.impostor.sample.values  # all of them: there are fewer than a million
    for point in card_of(embedder, compared).operating_points:
        claimed = float(point.name.removeprefix("fmr-"))
        matching = (distances < point.threshold).mean()
        assert point.fmr == pytest.approx(matching, rel=1e-5)
        assert matching <= claimed < (distances < point.threshold + 2e-5).mean() + 1e-9 + 2 / len(distances)


def test_a_point_states_its_rates_with_intervals_and_what_they_rest_on(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    compared = made_up(300, 3, spread=0.09)
    genuine = compared.scores.genuine.sample.values
    for point in card_of(embedder, compared).operating_points:
        assert point.fnmr == pytest.approx((genuine >= point.threshold).mean(), rel=1e-5)
        for rate, interval in ((point.fmr, point.fmr_interval), (point.fnmr, point.fnmr_interval)):
            assert rate is not None
            assert interval is not None
            assert interval[0] <= rate <= interval[1]
        assert (point.n_identities, point.n_genuine, point.n_impostor) == (300, 900, 900 * 899 // 2 - 900)


@pytest.mark.parametrize(
    ("n_people", "names", "default"),
    [
        (30, ["fmr-1e-2"], "fmr-1e-2"),
        (60, ["fmr-1e-2", "fmr-1e-3"], "fmr-1e-3"),
        (200, ["fmr-1e-2", "fmr-1e-3", "fmr-1e-4"], "fmr-1e-3"),
    ],
)
def test_there_are_as_many_points_as_the_comparisons_carry(
    embedder: FaceEmbedder, made_up: MadeUp, n_people: int, names: list[str], default: str
) -> None:
    card = card_of(embedder, made_up(n_people, 3))
    assert [point.name for point in card.operating_points] == names
    assert card.default_point == default


def test_a_card_that_cannot_carry_the_default_says_so(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    small, large = card_of(embedder, made_up(30, 3)), card_of(embedder, made_up(60, 3))
    assert "so it is the default; fmr-1e-3 takes 10,000" in small.operating_points[-1].note
    assert "The strictest that 15,930 of them carry; fmr-1e-4 takes 100,000" in large.operating_points[-1].note
    assert not any("default" in point.note for point in large.operating_points)


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_intervals(
    embedder: FaceEmbedder, made_up: MadeUp
) -> None:
    one, again, other = (card_of(embedder, made_up(60, 3, spread=0.09), seed).to_json() for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_card_says_on_which_photos_and_for_which_embeddings(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    card = card_of(embedder, made_up(60, 3, n_failed=2))
    calibration = card.calibration
    assert calibration is not None
    assert calibration.model_digest == card.digest == embedder.card.digest
    data = calibration.data
    assert (data.name, data.population, data.n_images, data.n_without_face) == ("made-up people", "Nobody.", 180, 2)
    assert card.operating_points[0].n_genuine == 177


@pytest.mark.parametrize(
    ("n_people", "n_each", "what"),
    [(8, 4, "add photos of more people"), (60, 1, "two photos or more"), (19, 9, "two photos or more")],
)
def test_too_few_photos_are_refused_with_what_it_takes(
    embedder: FaceEmbedder, made_up: MadeUp, n_people: int, n_each: int, what: str
) -> None:
    with pytest.raises(ProtocolError, match=what):
        card_of(embedder, made_up(n_people, n_each))


def test_identities_that_mean_nothing_are_refused() -> None:
    tally = ScoreDistribution.of(np.random.default_rng(0).normal(0.8, 0.1, 1000))
    nearer = ScoreDistribution.of(np.random.default_rng(1).normal(0.7, 0.1, 1000))
    with pytest.raises(ProtocolError, match="check the identities"):
        evidence_from(tally, nearer)


@pytest.mark.parametrize("seed", range(8))
def test_a_model_that_tells_nobody_apart_is_refused(seed: int) -> None:
    genuine, impostor = (normal(0.8, 0.1, n, 2 * seed + k) for k, n in enumerate((60, 2_000)))
    try:
        found = evidence_from(genuine, impostor)
    except ProtocolError:
        return
    assert found.at(0.0) > 0 > found.at(2.0)  # by luck of the draw a little could be told


def test_a_rate_of_one_person_has_no_interval(embedder: FaceEmbedder, made_up: MadeUp) -> None:
    """However many photos of that person there are: nothing is known of others."""
    compared = made_up(60, 9, n_each_of_others=1)
    setting = EvaluationConfig(embedder, "largest", resampling=Resampling(200, 0))
    fnmr = evaluate_compared(compared, setting, 0.44).found.figures.fnmr
    assert fnmr.value is not None
    assert 0 < fnmr.value < 1
    assert fnmr.interval is None
    with pytest.raises(ProtocolError, match="1 people with two photos or more are too few"):
        card_of(embedder, compared)


def normal(mean: float, spread: float, n: int, seed: int) -> ScoreDistribution:
    return ScoreDistribution.of(np.random.default_rng(seed).normal(mean, spread, n))


def test_the_evidence_is_the_true_log_likelihood_ratio_where_that_is_a_straight_line() -> None:
    """Two normal distributions of one spread have the ratio ((d - b)^2 - (d - a)^2) / (2 s^2)."""
    found = evidence_from(normal(0.4, 0.08, 20_000, 0), normal(0.8, 0.08, 200_000, 1))
    for distance in (0.5, 0.55, 0.6, 0.65, 0.7):
        true = ((distance - 0.8) ** 2 - (distance - 0.4) ** 2) / (2 * 0.08**2)
        assert found.at(distance) == pytest.approx(true, abs=0.8)


def test_no_evidence_is_stronger_than_the_data_bear() -> None:
    found = evidence_from(normal(0.4, 0.05, 2_000, 0), normal(0.8, 0.05, 100_000, 1))
    assert found.at(0.0) <= np.log(100_000 / 10) + 1e-3
    assert found.at(2.0) >= -np.log(2_000 / 10) - 1e-3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 0.7), st.lists(st.floats(0, 2), min_size=2, max_size=10))
def test_a_larger_distance_never_speaks_more_for_one_person(seed: int, mean: float, distances: list[float]) -> None:
    found = evidence_from(normal(mean, 0.1, 200, seed), normal(0.9, 0.1, 2_000, seed + 1))
    ratios = found.of_each(np.sort(distances))
    assert (np.diff(ratios) <= 0).all()


def test_kinds_that_do_not_overlap_give_a_finite_line() -> None:
    found = evidence_from(
        ScoreDistribution.of(np.linspace(0.1, 0.3, 50)), ScoreDistribution.of(np.linspace(0.6, 1.0, 2_000))
    )
    assert -1000 < found.slope < 0


def test_a_probability_fitted_on_some_people_means_what_it_says_on_others(made_up: MadeUp) -> None:
    fitted, other = made_up(400, 3, seed=1, spread=0.11).scores, made_up(400, 3, seed=2, spread=0.11).scores
    ratio = evidence_from(fitted.genuine.tally, fitted.impostor.tally)
    assert evidence.reliability(other.genuine.tally, other.impostor.tally, ratio).ece < 0.02
