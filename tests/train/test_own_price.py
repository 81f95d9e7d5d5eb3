"""What a poor photo costs, on made-up lots: plain-loop oracles, monotone curves, rates that hold, and the floor."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder import Places, QualityRule
from train.own_threshold.curves import Hinges
from train.own_threshold.floor import floor_of
from train.own_threshold.lots import Lot, lot_of, measured_of
from train.own_threshold.price import CLAIMS, MOST, fit_quality, levels

N = 240


def lot(seed: int, blur: float = 0.0) -> Lot:
    """People with two photos each; blur draws faces together and makes them less sharp."""
    generator = np.random.default_rng(seed)
    identities = np.repeat(np.arange(N // 2), 2).astype(np.int32)
    people = np.repeat(generator.normal(0, 0.055, (N // 2, 128)), 2, axis=0)
    pull = 0.2 * blur * generator.uniform(0.7, 1.3, (N, 1))
    vectors = ((people + generator.normal(0, 0.02, (N, 128))) * (1 - pull) + 0.05).astype(np.float32)
    places = Places(np.full(N, 0.78), np.full(N, 0.03), np.zeros(N))
    measures = np.tile([60, 0.5, 0.6, 120, 40, 0, 0.1, 1], (N, 1)) * generator.uniform(0.9, 1.1, (N, 8))
    measures[:, 1] *= 1 - 2 * pull[:, 0]
    return lot_of(vectors, identities, places, measured_of(vectors, measures.astype(np.float32)))


@pytest.fixture(scope="module")
def lots() -> list[Lot]:
    return [lot(0), lot(1, 0.5), lot(2, 1.0)]


@pytest.fixture(scope="module")
def rule(lots: list[Lot]) -> QualityRule:
    return fit_quality(lots, 1e-3)


def test_a_lot_s_scores_are_those_of_plain_loops() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(9, 128)).astype(np.float32)
    places = Places(generator.uniform(0.5, 0.8, 9), generator.uniform(0.02, 0.04, 9), generator.uniform(0, 3, 9))
    identities = np.array([0, 0, 1, 1, 1, 2, 3, 4, 5], np.int32)
    found = lot_of(vectors, identities, places, {})
    expected = {}
    for i, j in combinations(range(9), 2):
        distance = float(np.linalg.norm(vectors[i].astype(np.float64) - vectors[j]))
        scores = [(distance - places.means[k]) / places.spreads[k] + places.penalties[k] for k in (i, j)]
        expected[i, j] = float(np.mean(scores))
    for pairs, is_genuine in ((found.genuine, True), (found.impostor, False)):
        scores = dict(
            zip(
                zip(pairs.first.tolist(), pairs.second.tolist(), strict=True),
                pairs.scores_with(places.penalties),
                strict=True,
            )
        )
        assert scores == pytest.approx(
            {
                pair: score
                for pair, score in expected.items()
                if (identities[pair[0]] == identities[pair[1]]) == is_genuine
            }
        )


def test_no_kind_has_more_false_matches_than_is_allowed(lots: list[Lot], rule: QualityRule) -> None:
    penalties = [rule.penalties(each.measured) for each in lots]
    for level, claim in zip(levels(lots[0], penalties[0]), CLAIMS, strict=True):
        for each, costs in zip(lots, penalties, strict=True):
            assert (each.impostor.scores_with(costs) < level).mean() <= MOST * claim + 1e-9


def test_without_penalties_they_had(lots: list[Lot]) -> None:
    nothing = np.zeros(N)
    (level, _) = levels(lots[0], nothing)
    assert (lots[2].impostor.scores_with(nothing) < level).mean() > 3 * CLAIMS[0]


def test_a_level_is_the_score_that_the_share_is_below(lots: list[Lot]) -> None:
    scores = lots[0].impostor.scores_with(np.zeros(N))
    for level, fmr in zip(levels(lots[0], np.zeros(N)), CLAIMS, strict=True):
        assert (scores < level).sum() == int(fmr * len(scores))


def test_the_same_lots_give_the_same_rule(lots: list[Lot], rule: QualityRule) -> None:
    assert fit_quality(lots, 1e-3) == rule


def test_good_photos_cost_least(lots: list[Lot], rule: QualityRule) -> None:
    medians = [float(np.median(rule.penalties(each.measured))) for each in lots]
    assert medians == sorted(medians)
    assert medians[0] < medians[2] - 0.5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["sharpness", "blockiness", "embedding_length"]))
def test_a_curve_is_the_sum_of_its_hinges_and_never_cheaper_for_a_worse_photo(seed: int, measure: str) -> None:
    generator = np.random.default_rng(seed)
    values = generator.lognormal(0, 0.6, 300)
    near = Lot(*[lot(0).genuine] * 2, np.zeros(300), {measure: values})
    hinges = Hinges.over([near], [1.0], measure)  # type: ignore[arg-type]
    slopes = generator.exponential(1, len(hinges.knots)) * (generator.random(len(hinges.knots)) < 0.5)
    curve = hinges.curve(slopes)
    if curve is None:
        assert not slopes.any()
        return
    assert np.allclose(curve.of(values), hinges.of(values) @ slopes, rtol=1e-4, atol=1e-4)
    ordered = np.sort(generator.uniform(0, 3 * values.max(), 50))
    steps = np.diff(curve.of(ordered if curve.worse == "high" else ordered[::-1]))
    assert (steps >= 0).all()


def test_a_floor_is_where_three_of_four_genuine_pairs_are_lost() -> None:
    """Lost by a logistic curve whose middle is known."""
    generator = np.random.default_rng(0)
    base = lot(0)
    n_pairs = len(base.genuine.scores)
    lots, penalties = [], []
    for cost in np.linspace(0, 6, 40):
        scores = generator.logistic(-cost - 3 + cost, 1, n_pairs)
        genuine = type(base.genuine)(scores, base.genuine.first, base.genuine.second)
        lots.append(Lot(genuine, base.impostor, base.nearness, base.measured))
        penalties.append(np.full(N, cost))
    assert floor_of(lots, penalties, 0.0) == pytest.approx(3.0 + np.log(3), abs=0.1)


def test_where_nothing_is_lost_what_is_poorer_than_all_that_was_seen_is_refused(lots: list[Lot]) -> None:
    assert floor_of(lots, [np.full(N, cost) for cost in (0.0, 1.0, 4.0)], 1e9) == 4.0
