"""Own and plain scores of one evaluation, photos that are refused, and what the card claims of either."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from embedder import FaceEmbedder, QualityChoice, ScoreKind
from train.evaluation.against import compare_models
from train.evaluation.as_json import as_record
from train.evaluation.as_text import as_text, versus_text
from train.evaluation.bootstrap import Resampling
from train.evaluation.cautions import cautions, of_calibration
from train.evaluation.compared import Compared, compare
from train.evaluation.evaluation import Evaluated, Setting, evaluate
from train.evaluation.protocols.digest import data_digest
from train.evaluation.protocols.protocol import PairList, ProtocolError
from train.evaluation.scoring import OwnThresholdMissing, own_part, scoring_of
from train.evaluation.thresholds import Choice

from .conftest import MadeUp, embedded_set

N_POOR, N_FAILED = 9, 4


@pytest.fixture
def scored(made_up: MadeUp, varied_embedder: FaceEmbedder) -> Callable[..., Compared]:
    """120 people with 3 photos each, of which a few have no face and a few are blurred."""
    people = made_up(120, 3, spread=0.1, n_failed=N_FAILED)
    embedded = embedded_set(people.embedded.vectors, N_POOR)

    def score(scores: ScoreKind, quality: QualityChoice = "ignore", pairs: PairList | None = None) -> Compared:
        protocol = replace(people.protocol, pairs=pairs)
        return compare(protocol, embedded, seed=0, scoring=scoring_of(varied_embedder, embedded, scores, quality))

    return score


def evaluated(compared: Compared, embedder: FaceEmbedder, choice: Choice = None) -> Evaluated:
    return evaluate(compared, Setting(embedder, "largest", resampling=Resampling(60, 0)), choice)


def test_own_scores_are_distances_less_the_mean_over_the_spread_of_both_faces(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    compared = scored("own")
    vectors, sample = compared.embedded.vectors, compared.scores.impostor.sample
    places = varied_embedder.places(vectors, compared.embedded.measures)
    for k in (0, 1000, len(sample.values) - 1):
        pair = [sample.probe[k], sample.reference[k]]
        distance = np.linalg.norm(np.subtract(*vectors[pair].astype(float)))
        normalised = (distance - places.means[pair]) / places.spreads[pair] + places.penalties[pair]
        assert sample.values[k] == pytest.approx(normalised.mean(), abs=1e-6)
    assert len(set(places.means[N_FAILED:])) > 100


def test_the_threshold_of_own_scores_is_that_of_the_cards_own_point(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    own, plain = (evaluated(scored(kind), varied_embedder).found for kind in ("own", "plain"))
    assert (own.scores, own.threshold.value) == ("own", -3.7)
    (default,) = (each for each in varied_embedder.card.operating_points if each.name == "fmr-1e-3")
    assert (plain.scores, plain.threshold.value) == ("plain", default.threshold)
    assert own.histogram.edges[0] < 0
    assert plain.histogram.edges[0] == 0


def test_a_pair_is_the_same_exactly_below_its_own_threshold(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    """Solved for the distance, and counted by a plain loop."""
    compared = scored("own")
    found, vectors = evaluated(compared, varied_embedder).found, compared.embedded.vectors
    places = varied_embedder.places(vectors, compared.embedded.measures)
    identities, accepted, n = compared.protocol.identities, 0, 0
    for a, b in combinations(range(N_FAILED, len(vectors)), 2):
        if identities[a] == identities[b]:
            distance = float(np.linalg.norm(vectors[a].astype(float) - vectors[b].astype(float)))
            offset, slope = (places.offsets[a] + places.offsets[b]) / 2, (places.slopes[a] + places.slopes[b]) / 2
            accepted += distance < (found.threshold.value - offset) / slope
            n += 1
    assert n == found.figures.n_genuine
    assert found.figures.fnmr.value == pytest.approx(1 - accepted / n, abs=2 / n)


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_both_kinds_of_claims_are_checked_whichever_decides(
    kind: ScoreKind, scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    other: ScoreKind = "plain" if kind == "own" else "own"
    found, theirs = (evaluated(scored(each), varied_embedder).found for each in (kind, other))
    assert {claim.scores for claim in found.claims} == {kind}
    assert {claim.scores for claim in found.other_claims} == {other}
    assert found.other_claims == theirs.claims
    assert [claim["scores"] for claim in as_record(found)["claims"]] == [kind] * len(found.claims) + [other] * len(
        theirs.claims
    )


def test_a_card_with_one_threshold_for_all_has_claims_of_that_kind_alone(
    made_up: MadeUp, embedder: FaceEmbedder
) -> None:
    found = evaluated(made_up(60, 3), embedder).found
    assert found.other_claims == ()
    assert "claims       of" not in as_text(found)
    assert "scores       distance: one threshold for all pairs" in as_text(found)


def test_own_thresholds_and_refusals_take_a_card_that_has_them(made_up: MadeUp, embedder: FaceEmbedder) -> None:
    embedded = made_up(5, 2).embedded
    for scores, quality, named in (("own", "ignore", "--scores own"), ("plain", "refuse", "--quality refuse")):
        with pytest.raises(OwnThresholdMissing, match=f"^{named} cannot be.*visavis calibrate --cohort"):
            scoring_of(embedder, embedded, scores, quality)  # type: ignore[arg-type] # pairs of literals
    assert own_part(embedder.card, "plain", "ignore") is None


def counted_by_loop(compared: Compared, pairs: list[tuple[int, int]]) -> dict[str, list[int]]:
    """Genuine and impostor comparisons: made, failed, refused; a photo that is refused is no failure to acquire."""
    identities, n = compared.protocol.identities, len(compared.protocol.photos)
    counts = {"made": [0, 0], "failed": [0, 0], "refused": [0, 0]}
    for a, b in pairs:
        became = "refused" if max(a, b) >= n - N_POOR else "failed" if min(a, b) < N_FAILED else "made"
        counts[became][int(identities[a] != identities[b])] += 1
    return counts


def counted(compared: Compared) -> dict[str, list[int]]:
    kinds = compared.scores.genuine, compared.scores.impostor
    return {
        "made": [round(kind.tally.n) for kind in kinds],
        "failed": [kind.n_failed for kind in kinds],
        "refused": [kind.n_refused for kind in kinds],
    }


@pytest.mark.parametrize("kind", ["own", "plain"])
def test_refused_photos_take_no_part_and_are_counted_apart(kind: ScoreKind, scored: Callable[..., Compared]) -> None:
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
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    pairs = neighbours(360)
    compared = scored("own", "refuse", pairs)
    listed = list(zip(pairs.probe.tolist(), pairs.reference.tolist(), strict=True))
    assert counted(compared) == counted_by_loop(compared, listed)
    found = evaluated(compared, varied_embedder).found
    assert (found.threshold.source, len(found.threshold.of_folds)) == ("folds", 3)
    made, failed = counted(compared)["made"], counted(compared)["failed"]
    assert (found.with_failures.n_genuine, found.with_failures.n_impostor) == (
        made[0] + failed[0],
        made[1] + failed[1],
    )


def test_refusals_are_told_in_text_and_json_and_their_absence_too(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    refusing, ignoring = (evaluated(scored("own", each), varied_embedder).found for each in ("refuse", "ignore"))
    record = as_record(refusing)["refused_for_low_quality"]
    assert (record["images"], len(record["photos"]), record["genuine"]) == (N_POOR, N_POOR, 9)
    assert record["comparisons"] == record["genuine"] + record["impostor"]
    assert as_record(refusing)["failures_to_acquire"]["images"] == N_FAILED
    assert as_record(ignoring)["refused_for_low_quality"] is None
    assert f"refused      {N_POOR} photos for low quality, 9 genuine and" in as_text(refusing)
    assert "refused" not in as_text(ignoring)


def test_where_all_are_refused_it_says_so(made_up: MadeUp, varied_embedder: FaceEmbedder) -> None:
    people = made_up(5, 2)
    embedded = embedded_set(people.embedded.vectors, 10)
    scoring = scoring_of(varied_embedder, embedded, "own", "refuse")
    with pytest.raises(ProtocolError, match="no genuine comparison to measure: 5 are refused for low quality"):
        evaluated(compare(people.protocol, embedded, seed=0, scoring=scoring), varied_embedder)


def test_the_text_tells_both_kinds_of_claims_apart(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    lines = as_text(evaluated(scored("own"), varied_embedder).found).splitlines()
    assert "  scores       normalised distance: every pair's own threshold" in lines
    assert "  threshold    -3.7 (the card's default point)" in lines
    own, plain = (
        lines.index(f"  claims       of {what}")
        for what in ("every pair's own threshold", "one threshold for all pairs")
    )
    assert own < plain
    assert sum("claimed FMR" in line for line in lines[own:plain]) == 3
    assert any(line.startswith("  fmr-1e-3 ") for line in lines[plain:])


def test_probabilities_are_those_of_the_scores_that_decide(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    own, plain = (evaluated(scored(kind), varied_embedder).found.evidence for kind in ("own", "plain"))
    assert own is not None
    assert plain is not None
    sample = scored("own").scores.genuine.sample.values
    ratio = varied_embedder.card.own_threshold
    assert ratio is not None
    costs = np.log2(1 + np.exp(-ratio.log_likelihood_ratio.of_each(sample))).mean()
    impostor = scored("own").scores.impostor.sample.values
    costs += np.log2(1 + np.exp(ratio.log_likelihood_ratio.of_each(impostor))).mean()
    assert own.cllr.value == pytest.approx(costs / 2, rel=1e-3)
    assert own.cllr.value != plain.cllr.value


def test_own_and_plain_scores_of_one_model_are_compared_on_the_same_draws(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    own, plain = (evaluated(scored(kind), varied_embedder, "best") for kind in ("own", "plain"))
    versus = compare_models(own, plain)
    eer = next(each for each in versus.differences if each.figure == "EER")
    assert eer.difference.value == pytest.approx(own.found.figures.eer.value - plain.found.figures.eer.value)
    paired = own.measured["eer"].draws - plain.measured["eer"].draws
    shuffled = own.measured["eer"].draws - np.random.default_rng(0).permutation(plain.measured["eer"].draws)
    assert paired.std() < shuffled.std()
    assert "every pair's own threshold against" in versus_text(versus)


def test_the_worst_comparisons_are_the_lowest_scores_and_told_with_their_plain_distance(
    scored: Callable[..., Compared], varied_embedder: FaceEmbedder
) -> None:
    compared = scored("own")
    found = evaluated(compared, varied_embedder, "best").found
    sample, photos = compared.scores.impostor.sample, compared.protocol.photos
    worst = found.worst_false_matches[0]
    assert (worst.probe, worst.reference) == (photos[sample.probe[0]], photos[sample.reference[0]])
    vectors = compared.embedded.vectors[[sample.probe[0], sample.reference[0]]].astype(float)
    assert worst.distance == pytest.approx(np.linalg.norm(np.subtract(*vectors)))


def test_the_photos_that_the_cohort_was_taken_from_are_told(made_up: MadeUp, varied_embedder: FaceEmbedder) -> None:
    compared, card = made_up(60, 3), varied_embedder.card
    assert card.own_threshold is not None
    data = card.own_threshold.cohort.data.model_copy(
        update={"digest": data_digest(compared.protocol, compared.embedded.image_digests)}
    )
    cohort = card.own_threshold.cohort.model_copy(update={"data": data})
    own = card.own_threshold.model_copy(update={"cohort": cohort})
    assert cautions(compared, card) == ()
    for told in (cautions, of_calibration):
        (caution,) = told(compared, card.model_copy(update={"own_threshold": own}))
        assert "the card's cohort was taken from" in caution
