"""What a distance between two embeddings says: the decision, and how probable one person is. Finds no faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, log1p

import numpy as np
from numpy.typing import NDArray

from .errors import SampleError
from .grading import Pair, Standing
from .points import chosen_point
from .reason import FIXED, GIVEN, threshold_reason
from .types import ModelIdentity, Sample, Timings, Vectors
from .weights.card import ModelCard
from .weights.own_threshold import OwnThreshold
from .weights.parts import LogLikelihoodRatio, OperatingPoint

EVEN = 0.5  # a prior that favours neither answer


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the distance of one pair says."""

    same: bool  # exactly distance < threshold
    distance: float  # Euclidean, 0 = identical
    threshold: float  # this pair's, where the card has own thresholds and the caller gave none
    threshold_reason: str  # why it is what it is, in words
    normalized_distance: float | None  # what error rates and evidence are of; None = card without own thresholds
    probability: float | None  # 0..1, of one person, given the distance and the prior; None = card without calibration
    log_likelihood_ratio: float | None  # natural logarithm; positive speaks for one person; None likewise


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One face to be judged."""

    vector: NDArray[np.float32]  # (128,)
    standing: Standing | None  # None = the card has no own thresholds


@dataclass(frozen=True, slots=True)
class Standard:
    """By what pairs are judged, and the way from there to a probability."""

    level: float  # the caller's threshold, or that of the point: a normalised distance where the card has own ones
    operating_point: OperatingPoint | None  # None = the level is the caller's
    own: OwnThreshold | None  # None = one threshold for all pairs
    ratio: LogLikelihoodRatio | None  # None = the card has no calibration
    prior: float  # 0..1, probability of one person before the photos are seen

    def judge(self, probe: Subject, references: Sequence[Subject]) -> Iterator[Judgement]:
        """Judge a face against each of several, in their order."""
        vectors = np.array([reference.vector for reference in references]).reshape(-1, len(probe.vector))
        for distance, reference in zip(euclidean(probe.vector, vectors), references, strict=True):
            yield self._judgement(distance, Pair.of(probe.standing, reference.standing))

    def _judgement(self, distance: float, pair: Pair | None) -> Judgement:
        threshold, reason = self._threshold(pair)
        normalized = None if pair is None else pair.score_at(distance)
        ratio = None if self.ratio is None else self.ratio.at(distance if normalized is None else normalized)
        probability = None if ratio is None else posterior(ratio, self.prior)
        return Judgement(distance < threshold, distance, threshold, reason, normalized, probability, ratio)

    def _threshold(self, pair: Pair | None) -> tuple[float, str]:
        if self.operating_point is None:
            return self.level, GIVEN
        if self.own is None or pair is None:
            return self.level, FIXED
        return pair.distance_at(self.level), threshold_reason(self.own, self.level, pair)


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


def standard_of(card: ModelCard, *, threshold: float | None, operating_point: str | None, prior: float) -> Standard:
    """Return what the caller asks for, or else the card's default point; raises OperatingPointUnavailable."""
    if threshold is not None and operating_point is not None:
        raise ValueError("give threshold or operating_point, not both: a point is a threshold")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"threshold must be greater than 0, not {threshold}")
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie between 0 and 1, both excluded, not {prior}")
    ratio = card.ratio(card.score_kind)
    if threshold is not None:
        return Standard(threshold, None, card.own_threshold, ratio, prior)
    point = chosen_point(card, operating_point)
    return Standard(point.threshold, point, card.own_threshold, ratio, prior)


def posterior(log_likelihood_ratio: float, prior: float) -> float:
    """Probability of one person by Bayes' rule: log odds after = log-likelihood ratio + log odds before."""
    log_odds = log_likelihood_ratio + log(prior) - log1p(-prior)
    smaller = exp(-abs(log_odds))  # of the two odds: never overflows
    return (1 if log_odds > 0 else smaller) / (1 + smaller)


def euclidean(probe: NDArray[np.float32], references: Vectors) -> tuple[float, ...]:
    """Euclidean distances of (128,) to each of (n, 128), computed in float64."""
    differences = references.astype(np.float64) - probe.astype(np.float64)
    return tuple(float(distance) for distance in np.sqrt((differences**2).sum(axis=1)))
