"""Scores with penalties for poor photos and without, photos that are refused, and what the card claims."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from penalty_bundle import RULE

from embedder import MEASURES, FaceEmbedder, QualityChoice, ScoreKind
from train.evaluation.bootstrap import Resampling
from train.evaluation.compared import ComparedPhotos, compare_photos
from train.evaluation.evaluation import EvaluationConfig, EvaluationResult, evaluate_compared
from train.evaluation.model_comparison import compare_models
from train.evaluation.output import evaluation_record
from train.evaluation.protocols.protocol import PairList, ProtocolError
from train.evaluation.scoring import QualityPenaltyMissing, require_quality_penalty, scoring_of
from train.evaluation.text import evaluation_text, versus_text
from train.evaluation.thresholds import ThresholdChoice

from .conftest import MadeUp, embedded_set

N_POOR, N_FAILED = 9, 4


@pytest.fixture
def scored(made_up: MadeUp, penalty_embedder: FaceEmbedder) -> Callable[..., ComparedPhotos]:
    """120 people with 3 photos each, of which a few have no face and a few are blurred."""
    people = made_up(120, 3, spread=0.1, n_failed=N_FAILED)
    embedded = embedded_set(people.embedded.vectors, N_POOR)

    def score(scores: ScoreKind, quality: QualityChoice = "ignore", pairs: PairList | None = None) -> ComparedPhotos:
        protocol = replace(people.protocol, pairs=pairs)
        return compare_photos(
            protocol, embedded, seed=0, scoring=scoring_of(penalty_embedder, embedded, scores, quality)
        )

    return score


def evaluated(compared: ComparedPhotos, embedder: FaceEmbedder, choice: ThresholdChoice = None) -> EvaluationResult:
    return evaluate_compared(compared, EvaluationConfig(embedder, "largest", resampling=Resampling(60, 0)), choice)


def penalties_of(compared: ComparedPhotos) -> np.ndarray:
    """By measure and photo, from the measures one by one."""
    columns = [compared.embedded.measures[:, MEASURES.index(rule.measure)] for rule in RULE]
    return np.array([[rule.at(float(value)) for value in column] for rule, column in zip(RULE, columns, strict=True)])


def test_normalised_scores_are_distances_plus_for_each_measure_the_smaller_penalty(
    scored: Callable[..., ComparedPhotos],
) -> None:
    compared = scored("normalized")
    vectors, sample, penalties = compared.embedded.vectors, compared.scores.impostor.sample, penalties_of(compared)
    added = []
    for k in range(0, len(sample.values), 997):
        pair = [sample.probe[k], sample.reference[k]]
        distance = np.linalg.norm(np.subtract(*vectors[pair].astype(float)))
        added.append(penalties[:, pair].min(axis=1).sum())
        assert sample.values[k] == pytest.approx(distance + added[-1], abs=1e-6)
    assert max(added) > 0.05


def test_both_kinds_of_scores_have_the_threshold_of_the_cards_point(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    normalised, plain = (evaluated(scored(kind), penalty_embedder).found for kind in ("normalized", "plain"))
    (default,) = (each for each in penalty_embedder.card.operating_points if each.name == "fmr-1e-3")
    assert (normalised.score_kind, normalised.threshold.value) == ("normalized", default.threshold)
    assert (plain.score_kind, plain.threshold.value) == ("plain", default.threshold)
    assert normalised.histogram.edges[0] == 0


def test_a_pair_is_the_same_exactly_below_the_threshold_less_its_penalty(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    """Counted by a plain loop."""
    compared = scored("normalized")
    found, vectors, penalties = (
        evaluated(compared, penalty_embedder, 0.85).found,
        compared.embedded.vectors,
        penalties_of(compared),
    )
    identities, accepted, n = compared.protocol.identities, 0, 0
    for a, b in combinations(range(N_FAILED, len(vectors)), 2):
        if identities[a] == identities[b]:
            distance = float(np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)))
            accepted += distance < 0.85 - penalties[:, [a, b]].min(axis=1).sum()
            n += 1
    assert n == found.figures.n_genuine
    assert found.figures.fnmr.value == pytest.approx(1 - accepted / n, abs=2 / n)
    assert found.figures.fnmr.value > evaluated(scored("plain"), penalty_embedder, 0.85).found.figures.fnmr.value


@pytest.mark.parametrize("kind", ["normalized", "plain"])
def test_the_claims_of_the_card_are_checked_by_the_scores_that_decide(
    kind: ScoreKind, scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    found = evaluated(scored(kind), penalty_embedder).found
    told = evaluation_record(found)["claims"]
    assert [claim["scores"] for claim in told] == [kind] * len(penalty_embedder.card.operating_points)
    impostor = scored(kind).scores.impostor.tally
    for claim in found.claims:
        assert claim.fmr.value == pytest.approx(float(impostor.share_below(claim.point.threshold)))


def test_what_decides_is_told(
    made_up: MadeUp, embedder: FaceEmbedder, scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    assert "scores       distance: the distance alone" in evaluation_text(evaluated(made_up(60, 3), embedder).found)
    told = evaluation_text(evaluated(scored("normalized"), penalty_embedder).found)
    assert "scores       normalised distance: the distance with the penalty for poor photos" in told


def test_normalised_scores_and_refusals_take_a_card_that_has_a_penalty(
    made_up: MadeUp, bare_embedder: FaceEmbedder
) -> None:
    embedded = made_up(5, 2).embedded
    for scores, quality, named in (
        ("normalized", "ignore", "--scores normalized"),
        ("plain", "refuse", "--quality refuse"),
    ):
        with pytest.raises(QualityPenaltyMissing, match=f"^{named} cannot be.*visavis calibrate --degrade"):
            scoring_of(bare_embedder, embedded, scores, quality)  # type: ignore[arg-type] # pairs of literals
    require_quality_penalty(bare_embedder.card, "plain", "ignore")


def counted_by_loop(compared: ComparedPhotos, pairs: list[tuple[int, int]]) -> dict[str, list[int]]:
    """Genuine and impostor comparisons: made, failed, refused; a photo that is refused is no failure to acquire."""
    identities, n = compared.protocol.identities, len(compared.protocol.photos)
    counts = {"made": [0, 0], "failed": [0, 0], "refused": [0, 0]}
    for a, b in pairs:
        became = "refused" if max(a, b) >= n - N_POOR else "failed" if min(a, b) < N_FAILED else "made"
        counts[became][int(identities[a] != identities[b])] += 1
    return counts


def counted(compared: ComparedPhotos) -> dict[str, list[int]]:
    kinds = compared.scores.genuine, compared.scores.impostor
    return {
        "made": [round(kind.tally.n) for kind in kinds],
        "failed": [kind.n_failed for kind in kinds],
        "refused": [kind.n_refused for kind in kinds],
    }


@pytest.mark.parametrize("kind", ["normalized", "plain"])
def test_refused_photos_take_no_part_and_are_counted_apart(
    kind: ScoreKind, scored: Callable[..., ComparedPhotos]
) -> None:
    compared = scored(kind, "refuse")
    n = len(compared.protocol.photos)
    assert counted(compared) == counted_by_loop(compared, list(combinations(range(n), 2)))
    refusals, failures = compared.refusals(), compared.failures()
    assert refusals is not None
    assert refusals.photos == compared.protocol.photos[n - N_POOR :]
    assert (refusals.n_genuine, refusals.n_impostor) == tuple(counted(compared)["refused"])
    assert len(failures.photos) == N_FAILED


def neighbours(n: int) -> PairList:
    """Each photo with the next one, and with one far off; in three folds."""
    probe = np.tile(np.arange(n, dtype=np.int32), 2)
    reference = np.concatenate([np.arange(n) + 1, np.arange(n) + n // 2]).astype(np.int32) % n
    return PairList(probe, reference, probe // 3 == reference // 3, probe % 3)


def test_listed_comparisons_with_a_refused_photo_are_left_out_of_every_fold(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    pairs = neighbours(360)
    compared = scored("normalized", "refuse", pairs)
    listed = list(zip(pairs.probe.tolist(), pairs.reference.tolist(), strict=True))
    assert counted(compared) == counted_by_loop(compared, listed)
    found = evaluated(compared, penalty_embedder).found
    assert (found.threshold.source, len(found.threshold.of_folds)) == ("folds", 3)
    made, failed = counted(compared)["made"], counted(compared)["failed"]
    assert (found.with_failures.n_genuine, found.with_failures.n_impostor) == (
        made[0] + failed[0],
        made[1] + failed[1],
    )


def test_refusals_are_told_in_text_and_json_and_their_absence_too(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    refusing, ignoring = (
        evaluated(scored("normalized", each), penalty_embedder).found for each in ("refuse", "ignore")
    )
    record = evaluation_record(refusing)["refused_for_low_quality"]
    assert (record["images"], len(record["photos"]), record["genuine"]) == (N_POOR, N_POOR, 9)
    assert record["comparisons"] == record["genuine"] + record["impostor"]
    assert evaluation_record(refusing)["failures_to_acquire"]["images"] == N_FAILED
    assert evaluation_record(ignoring)["refused_for_low_quality"] is None
    assert f"refused      {N_POOR} photos for low quality, 9 genuine and" in evaluation_text(refusing)
    assert "refused" not in evaluation_text(ignoring)


def test_where_all_are_refused_it_says_so(made_up: MadeUp, penalty_embedder: FaceEmbedder) -> None:
    people = made_up(5, 2)
    embedded = embedded_set(people.embedded.vectors, 10)
    scoring = scoring_of(penalty_embedder, embedded, "normalized", "refuse")
    with pytest.raises(ProtocolError, match="no genuine comparison to measure: 5 are refused for low quality"):
        evaluated(compare_photos(people.protocol, embedded, seed=0, scoring=scoring), penalty_embedder)


def test_probabilities_are_those_of_the_scores_that_decide(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    ratio = penalty_embedder.card.ratio
    assert ratio is not None
    found = {}
    for kind in ("normalized", "plain"):
        scores = scored(kind).scores
        kinds = ((scores.genuine.sample.values, -1), (scores.impostor.sample.values, 1))
        costs = [np.log2(1 + np.exp(sign * ratio.of_each(values))).mean() for values, sign in kinds]
        evidence = evaluated(scored(kind), penalty_embedder).found.evidence
        assert evidence is not None
        assert evidence.cllr.value == pytest.approx(np.mean(costs), rel=1e-3)
        found[kind] = evidence.cllr.value
    assert found["normalized"] != found["plain"]


def test_normalised_and_plain_scores_of_one_model_are_compared_on_the_same_draws(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    normalised, plain = (evaluated(scored(kind), penalty_embedder, "best") for kind in ("normalized", "plain"))
    versus = compare_models(normalised, plain)
    eer = next(each for each in versus.differences if each.figure == "EER")
    assert eer.difference.value == pytest.approx(normalised.found.figures.eer.value - plain.found.figures.eer.value)
    paired = normalised.measured["eer"].draws - plain.measured["eer"].draws
    shuffled = normalised.measured["eer"].draws - np.random.default_rng(0).permutation(plain.measured["eer"].draws)
    assert paired.std() < shuffled.std()
    assert "the distance with the penalty for poor photos against" in versus_text(versus)


def test_the_worst_comparisons_are_the_lowest_scores_and_told_with_their_plain_distance(
    scored: Callable[..., ComparedPhotos], penalty_embedder: FaceEmbedder
) -> None:
    compared = scored("normalized")
    found = evaluated(compared, penalty_embedder, "best").found
    sample, photos = compared.scores.impostor.sample, compared.protocol.photos
    worst = found.worst_false_matches[0]
    assert (worst.probe, worst.reference) == (photos[sample.probe[0]], photos[sample.reference[0]])
    vectors = compared.embedded.vectors[[sample.probe[0], sample.reference[0]]].astype(float)
    assert worst.distance == pytest.approx(np.linalg.norm(np.subtract(*vectors)))
