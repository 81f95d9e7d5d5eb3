"""Ten folds: each decided by the threshold that is best on the others."""

import numpy as np
import pytest

from train.evaluation.compared import ListedScores, scores_of
from train.evaluation.protocols.protocol import PairList, ProtocolError
from train.evaluation.thresholds import accuracies, choose_on_other_folds, decide

N_FOLDS, N_EACH = 10, 40


def listed(seed: int = 0, n_failed: int = 0) -> ListedScores:
    generator = np.random.default_rng(seed)
    same = np.tile(np.arange(N_EACH) < N_EACH // 2, N_FOLDS)
    distances = np.where(same, generator.normal(0.45, 0.1, len(same)), generator.normal(0.75, 0.1, len(same)))
    distances[:n_failed] = np.nan
    probe = np.arange(len(same), dtype=np.int32)
    reference = np.where(same, probe, (probe + 1) % len(same)).astype(np.int32)
    return ListedScores(
        PairList(probe, reference, same, np.repeat(np.arange(N_FOLDS), N_EACH).astype(np.int32)), distances
    )


def best_by_loop(distances: np.ndarray, same: np.ndarray) -> float:
    """The highest accuracy that any cut between two distances gives."""
    cuts = [*sorted(distances), np.inf]
    return max(float(((distances < cut) == same).mean()) for cut in cuts)


def test_each_folds_threshold_is_the_best_on_all_other_folds() -> None:
    found, fold = listed(), listed().pairs.fold
    assert fold is not None
    for number, threshold in enumerate(choose_on_other_folds(found, fold).thresholds):
        others = fold != number
        accuracy = ((found.values[others] < threshold) == found.pairs.same[others]).mean()
        assert accuracy == best_by_loop(found.values[others], found.pairs.same[others])


def test_a_folds_own_comparisons_have_no_say_in_its_threshold() -> None:
    found, fold = listed(), listed().pairs.fold
    assert fold is not None
    altered = ListedScores(found.pairs, np.where(fold == 3, 0.123, found.values))
    one, other = (choose_on_other_folds(each, fold).thresholds for each in (found, altered))
    assert one[3] == other[3]
    assert (np.delete(one, 3) != np.delete(other, 3)).any()


def test_the_rates_are_those_of_each_comparison_against_its_own_folds_threshold() -> None:
    found = listed()
    identities = np.arange(len(found.values), dtype=np.int32)
    fold = found.pairs.fold
    assert fold is not None
    decision = decide(scores_of(found, identities), found, card=None, choice="folds")  # type: ignore[arg-type] # no card is asked
    thresholds = choose_on_other_folds(found, fold).of_comparison
    accepted = found.values < thresholds
    impostor, genuine = decision.scores.impostor.tally, decision.scores.genuine.tally
    assert impostor.share_below(decision.at) == pytest.approx(accepted[~found.pairs.same].mean())
    assert genuine.share_below(decision.at) == pytest.approx(accepted[found.pairs.same].mean())
    assert decision.threshold.value == pytest.approx(np.unique(thresholds).mean(), abs=0.02)


def test_failures_are_left_out_or_count_as_non_matches() -> None:
    found, fold = listed(n_failed=30), listed().pairs.fold
    assert fold is not None
    thresholds = np.full(len(found.values), 0.6)
    first = slice(0, N_EACH)
    right = (found.values[first] < 0.6) == found.pairs.same[first]
    made = ~np.isnan(found.values[first])
    assert accuracies(found, fold, thresholds, failures_count=False)[0] == pytest.approx(right[made].mean())
    non_matches = (~made & ~found.pairs.same[first]).sum()
    assert accuracies(found, fold, thresholds, failures_count=True)[0] == pytest.approx(
        (right[made].sum() + non_matches) / N_EACH
    )


def test_a_protocol_without_folds_is_told_so() -> None:
    found = listed()
    bare = ListedScores(PairList(found.pairs.probe, found.pairs.reference, found.pairs.same, None), found.values)
    scores = scores_of(bare, np.arange(len(bare.values), dtype=np.int32))
    with pytest.raises(ProtocolError, match="no folds"):
        decide(scores, bare, card=None, choice="folds")  # type: ignore[arg-type] # no card is asked
