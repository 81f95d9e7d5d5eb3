"""Choose the threshold of an evaluation: from the card, the best one, or on other folds (LFW's View 2)."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedder import ModelCard, chosen_point

from . import metrics
from .compared import ListedScores, scores_of, tallies
from .metrics import Floats, ScoreDistribution, best_threshold
from .protocols.protocol import ProtocolError
from .results import DecisionThreshold
from .scores import ScoreSet


@dataclass(frozen=True, slots=True, eq=False)
class FoldDecisions:
    """The threshold of each fold."""

    thresholds: Floats  # (f,) each chosen by accuracy on all other folds
    of_comparison: Floats  # (n,) the threshold of each comparison's fold


def choose_on_other_folds(listed: ListedScores, fold: NDArray[np.int32]) -> FoldDecisions:
    """Choose a threshold for each fold by the accuracy on the others, without failures to acquire."""
    numbers, position = np.unique(fold, return_inverse=True)
    thresholds = np.array([_best(listed, fold != number) for number in numbers])
    return FoldDecisions(thresholds, thresholds[position])


def accuracies(listed: ListedScores, fold: NDArray[np.int32], thresholds: Floats, *, failures_count: bool) -> Floats:
    """Return the accuracy of each fold, (f,), at thresholds per comparison, (n,)."""
    failed = np.isnan(listed.values)
    right = ~failed & ((listed.values < thresholds) == listed.pairs.same)
    right |= failed & ~listed.pairs.same  # a face that was not found matches nobody
    counted = np.ones_like(failed) if failures_count else ~failed
    return np.array([right[counted & (fold == number)].mean() for number in np.unique(fold[counted])])


def _best(listed: ListedScores, chosen: NDArray[np.bool_]) -> float:
    genuine, impostor = tallies(listed, chosen)
    if not (genuine.n and impostor.n):
        raise ProtocolError("a fold's threshold is chosen on the other folds, which lack a kind of comparison")
    return best_threshold(genuine, impostor)


NO_FOLDS = "this protocol has no folds; give --threshold card, best or a number"

NamedThreshold = Literal["card", "best", "folds"]
ThresholdChoice = NamedThreshold | float | None  # None: folds if there are any, else the card's default


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Comparisons and their threshold."""

    threshold: DecisionThreshold
    scores: ScoreSet  # with folds: scores minus their fold's threshold, so that `at` is 0
    at: float
    of_comparison: Floats | None = None  # (n,) the threshold of each listed comparison; None without folds


def decide(scores: ScoreSet, listed: ListedScores | None, card: ModelCard, choice: ThresholdChoice) -> Decision:
    """Choose the threshold by the user's choice.

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
    """Raise the error of `decide` for an impossible choice, before anything is embedded."""
    if choice == "folds" and not has_folds:
        raise ProtocolError(NO_FOLDS)
    if choice == "card" or (choice is None and not has_folds):
        chosen_point(card, None)


def decide_at(scores: ScoreSet, threshold: DecisionThreshold) -> Decision:
    """Decide all comparisons at one threshold."""
    return Decision(threshold, scores, threshold.value)


def best_of(scores: ScoreSet) -> float:
    """Return the threshold of the highest accuracy on these comparisons. Raises ProtocolError if a kind is missing."""
    require_both_kinds(scores)
    return metrics.best_threshold(scores.genuine.tally, scores.impostor.tally)


def most_balanced_of(scores: ScoreSet) -> float:
    """Return the threshold of the smallest FMR + FNMR; in an all-against-all, impostors would dominate accuracy."""
    genuine, impostor = (
        ScoreDistribution(t.values, t.cumulative / t.n) for t in (scores.genuine.tally, scores.impostor.tally)
    )
    return metrics.best_threshold(genuine, impostor)


def require_both_kinds(scores: ScoreSet) -> None:
    """Raise ProtocolError if there is no genuine or no impostor comparison to measure."""
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
