"""What a distance between two embeddings says: the decision, and how probable one person is. Finds no faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, log1p

import numpy as np
from numpy.typing import NDArray

from .errors import SampleError
from .points import chosen_point
from .quality_penalty import GIVEN, PairPenalty, Rule, pair_penalties, threshold_reason
from .types import ModelIdentity, Quality, Sample, Timings, Vectors
from .weights.card import ModelCard
from .weights.parts import LogLikelihoodRatio, OperatingPoint

EVEN_PRIOR = 0.5  # a prior that favours neither answer


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the distance of one pair says."""

    same: bool  # exactly distance < threshold
    distance: float  # Euclidean, 0 = identical
    threshold: float  # the caller's, or that of the point less the pair's penalty
    threshold_reason: str  # why it is what it is, in words
    normalized_distance: float | None  # the distance plus the pair's penalty; None = card without a rule for it
    probability: float | None  # 0..1, of one person, given the distance and the prior; None = card without calibration
    log_likelihood_ratio: float | None  # natural logarithm; positive speaks for one person; None likewise


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One face to be judged."""

    vector: NDArray[np.float32]  # (128,)
    quality: Quality | None  # None = its photo is not known


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """By what pairs are judged, and the way from there to a probability."""

    level: float  # the caller's threshold, or that of the point
    operating_point: OperatingPoint | None  # None = the level is the caller's
    rule: Rule  # what a poor photo costs
    ratio: LogLikelihoodRatio | None  # None = the card has no calibration
    prior: float  # 0..1, probability of one person before the photos are seen

    def judge(self, probe: Subject, references: Sequence[Subject]) -> Iterator[Judgement]:
        """Judge a face against each of several, in their order."""
        vectors = np.array([reference.vector for reference in references]).reshape(-1, len(probe.vector))
        for distance, reference in zip(euclidean(probe.vector, vectors), references, strict=True):
            yield self._judgement(distance, self._penalties(probe.quality, reference.quality))

    def _penalties(self, probe: Quality | None, reference: Quality | None) -> tuple[PairPenalty, ...] | None:
        """What the photos cost this pair; None where they are not known."""
        if probe is None or reference is None:
            return None
        return pair_penalties(self.rule, probe, reference)

    def _judgement(self, distance: float, penalties: tuple[PairPenalty, ...] | None) -> Judgement:
        penalty = sum(each.penalty for each in penalties or ())
        threshold, reason = self.level, GIVEN
        if self.operating_point is not None:
            threshold, reason = self.level - penalty, threshold_reason(self.rule, self.operating_point, penalties)
        normalized = distance + penalty if self.rule else None
        ratio = None if self.ratio is None else self.ratio.at(distance + penalty)
        probability = None if ratio is None else posterior(ratio, self.prior)
        return Judgement(distance < threshold, distance, threshold, reason, normalized, probability, ratio)


@dataclass(frozen=True, slots=True)
class Distances:
    """One embedding against several, in their order, and the standard that all were judged by."""

    results: tuple[Judgement, ...]
    operating_point: OperatingPoint | None  # the card's point that gave the thresholds; None = the caller's own
    prior: float


@dataclass(frozen=True, slots=True)
class Comparison(Judgement):
    """Whether two images show one person, and all that the answer rests on."""

    operating_point: OperatingPoint | None  # the card's point that gave the threshold; None = the caller's own
    prior: float  # 0..1, probability of one person before the photos are seen
    probe: Sample
    reference: Sample
    model: ModelIdentity
    timings_ms: Timings


@dataclass(frozen=True, slots=True)
class ComparisonBatch:
    """One probe against several references, in their order; a reference that cannot be used leaves its error there."""

    results: tuple[Comparison | SampleError, ...]
    model: ModelIdentity
    timings_ms: Timings


def decision_rule(
    card: ModelCard, *, threshold: float | None, operating_point: str | None, prior: float
) -> DecisionRule:
    """Return what the caller asks for, or else the card's default point; raises OperatingPointUnavailable."""
    if threshold is not None and operating_point is not None:
        raise ValueError("give threshold or operating_point, not both: a point is a threshold")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"threshold must be greater than 0, not {threshold}")
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie between 0 and 1, both excluded, not {prior}")
    if threshold is not None:
        return DecisionRule(threshold, None, card.quality_penalties, card.ratio, prior)
    point = chosen_point(card, operating_point)
    return DecisionRule(point.threshold, point, card.quality_penalties, card.ratio, prior)


def posterior(log_likelihood_ratio: float, prior: float) -> float:
    """Probability of one person by Bayes' rule: log odds after = log-likelihood ratio + log odds before."""
    log_odds = log_likelihood_ratio + log(prior) - log1p(-prior)
    smaller = exp(-abs(log_odds))  # of the two odds: never overflows
    return (1 if log_odds > 0 else smaller) / (1 + smaller)


def euclidean(probe: NDArray[np.float32], references: Vectors) -> tuple[float, ...]:
    """Euclidean distances of (128,) to each of (n, 128), computed in float64."""
    differences = references.astype(np.float64) - probe.astype(np.float64)
    return tuple(float(distance) for distance in np.sqrt((differences**2).sum(axis=1)))
