"""Where the threshold of an evaluation comes from: a card, the best one, or other folds (LFW's View 2)."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedder import ModelCard, chosen_point

from . import metrics
from .compared import ListedScores, scores_of, tallies
from .metrics import Floats, ScoreHistogram, best_threshold
from .protocols.protocol import ProtocolError
from .record import DecisionThreshold
from .scores import ScoreSet


@dataclass(frozen=True, slots=True, eq=False)
class FoldDecisions:
    """What each fold was decided by, and how well."""

    thresholds: Floats  # (f,) each chosen on all folds but its own, by accuracy
    of_comparison: Floats  # (n,) the threshold of each comparison's fold


def choose_on_other_folds(listed: ListedScores, fold: NDArray[np.int32]) -> FoldDecisions:
    """Choose a threshold for each fold by the accuracy on the others; failures to acquire take no part in it."""
    numbers, position = np.unique(fold, return_inverse=True)
    thresholds = np.array([_best(listed, fold != number) for number in numbers])
    return FoldDecisions(thresholds, thresholds[position])


def accuracies(listed: ListedScores, fold: NDArray[np.int32], thresholds: Floats, *, failures_count: bool) -> Floats:
    """Accuracy of each fold: (f,); comparisons (n,) are decided by thresholds (n,)."""
    failed = np.isnan(listed.values)
    right = ~failed & ((listed.values < thresholds) == listed.pairs.same)
    right |= failed & ~listed.pairs.same  # a face that was not found matches nobody
    counted = np.ones_like(failed) if failures_count else ~failed
    return np.array([right[counted & (fold == number)].mean() for number in np.unique(fold[counted])])


def _best(listed: ListedScores, chosen: NDArray[np.bool_]) -> float:
    genuine, impostor = tallies(listed, chosen)
    if not (genuine.n and impostor.n):
        raise ProtocolError("a fold's threshold is chosen on the other ones, which lack a kind of comparison")
    return best_threshold(genuine, impostor)


NO_FOLDS = "this protocol has no folds; give --threshold card, best or a number"

NamedThreshold = Literal["card", "best", "folds"]
ThresholdChoice = NamedThreshold | float | None  # None: folds where there are any, else the card's default


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Comparisons, and the threshold that decides them all."""

    threshold: DecisionThreshold
    scores: ScoreSet  # where folds have thresholds of their own: with scores less those, so that `at` is 0
    at: float
    of_comparison: Floats | None = None  # (n,) the threshold of each listed comparison, where there are folds


def decide(scores: ScoreSet, listed: ListedScores | None, card: ModelCard, choice: ThresholdChoice) -> Decision:
    """Choose the threshold that the user asked for.

    Raises ProtocolError or OperatingPointUnavailable.
    """
    has_folds = listed is not None and listed.pairs.fold is not None
    if choice == "folds" or (choice is None and has_folds):
        return _by_folds(scores, listed)
    if choice == "best":
        found = best_of(scores) if listed is not None else most_balanced_of(scores)
        return decide_at(scores, DecisionThreshold(found, "best"))
    if choice is None or choice == "card":
        return decide_at(scores, DecisionThreshold(chosen_point(card, None).threshold, "card"))
    return decide_at(scores, DecisionThreshold(float(choice), "number"))


def require_choice(choice: ThresholdChoice, *, has_folds: bool, card: ModelCard) -> None:
    """Raise what `decide` would for a choice that cannot be had, before anything is embedded."""
    if choice == "folds" and not has_folds:
        raise ProtocolError(NO_FOLDS)
    if choice == "card" or (choice is None and not has_folds):
        chosen_point(card, None)


def decide_at(scores: ScoreSet, threshold: DecisionThreshold) -> Decision:
    """Decide all comparisons by one threshold."""
    return Decision(threshold, scores, threshold.value)


def best_of(scores: ScoreSet) -> float:
    """Return the threshold of the highest accuracy on these comparisons; ProtocolError where a kind is missing."""
    require_both_kinds(scores)
    return metrics.best_threshold(scores.genuine.tally, scores.impostor.tally)


def most_balanced_of(scores: ScoreSet) -> float:
    """Return the threshold of the smallest FMR + FNMR: accuracy over all against all would be the impostors' alone."""
    genuine, impostor = (
        ScoreHistogram(t.values, t.cumulative / t.n) for t in (scores.genuine.tally, scores.impostor.tally)
    )
    return metrics.best_threshold(genuine, impostor)


def require_both_kinds(scores: ScoreSet) -> None:
    """Raise ProtocolError where there is no genuine or no impostor comparison to measure."""
    for name, kind in (("genuine", scores.genuine), ("impostor", scores.impostor)):
        if not kind.tally.n:
            lost = [f"{kind.n_failed:,} lack a usable face"] * (kind.n_failed > 0)
            lost += [f"{kind.n_refused:,} are refused for low quality"] * (kind.n_refused > 0)
            reason = f": {' and '.join(lost)}" if lost else ""
            raise ProtocolError(f"there is no {name} comparison to measure{reason}; both kinds are needed")


def _by_folds(scores: ScoreSet, listed: ListedScores | None) -> Decision:
    if listed is None or listed.pairs.fold is None:
        raise ProtocolError(NO_FOLDS)
    folds = choose_on_other_folds(listed, listed.pairs.fold)
    margins = replace(listed, values=listed.values - folds.of_comparison)
    mean = float(np.mean(folds.thresholds))
    threshold = DecisionThreshold(mean, "folds", tuple(map(float, folds.thresholds)))
    return Decision(threshold, scores_of(margins, scores.identities), 0.0, folds.of_comparison)
