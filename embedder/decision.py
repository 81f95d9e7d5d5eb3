"""From embeddings to a decision: operating point, penalty for poor photos, distance, probability.

Embeddings of two poor photos are closer to each other, which increases the FMR. A pair of one poor and one good photo
does not have this effect, so the penalty of a pair is that of its better photo.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from math import exp, log, log1p
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from .errors import LowQuality, OperatingPointUnavailable, SampleError
from .types import (
    QUALITY_CHOICES,
    Chip,
    FaceChoice,
    Grade,
    ModelIdentity,
    Quality,
    QualityChoice,
    Sample,
    Timings,
    Vectors,
)
from .weights.card import ModelCard
from .weights.card_parts import LogLikelihoodRatio, Measure, OperatingPoint, QualityPenalty

BY_RATE = "fmr="


def chosen_point(card: ModelCard, asked: str | None) -> OperatingPoint:
    """Return the point named as in `fmr-1e-4`, the loosest point with an FMR of at most X for `fmr=X`, or the default.

    Raises OperatingPointUnavailable if the card has no such point.
    """
    points = card.operating_points
    wanted = card.default_point if asked is None else asked
    fitting = [point for point in points if point.name == wanted]
    if not fitting and asked is not None and asked.startswith(BY_RATE):
        fitting = _at_least_as_strict(points, _rate(asked))
    if not fitting:
        raise OperatingPointUnavailable(asked, {point.name: point.fmr for point in points})
    return max(fitting, key=lambda point: point.threshold)


def _at_least_as_strict(points: Sequence[OperatingPoint], fmr: float) -> list[OperatingPoint]:
    measured = [point for point in points if point.fmr is not None and point.fmr <= fmr]
    return measured if 0 < fmr <= 1 else []


def _rate(asked: str) -> float:
    try:
        return float(asked.removeprefix(BY_RATE))
    except ValueError:
        return float("nan")  # no point fits


ADVICE: dict[Measure, str] = {
    "sharpness": "send a sharper or larger photo",
    "eye_distance_px": "send a photo in which the face is larger",
}
FAULTS: dict[Measure, str] = {"sharpness": "both photos are blurred", "eye_distance_px": "both faces are small"}
GIVEN_BY_CALLER = "The threshold was given by the caller."
MIN_STATED_PENALTY = 0.0005  # in units of distance; smaller penalties are not reported

QualityPenalties = tuple[QualityPenalty, ...]  # one for each measure with a penalty; may be empty


@dataclass(frozen=True, slots=True)
class PairPenalty:
    """The penalty of a pair by one measure."""

    measure: Measure
    values: tuple[float, float]  # of both photos
    penalty: float  # in units of distance; that of the better photo


def grade_photo(rule: QualityPenalties, quality: Quality) -> Grade:
    """Return a face's penalty, and whether its photo is too poor."""
    values = [(each, _value(each, quality)) for each in rule]
    penalty = sum(each.at(value) for each, value in values)
    return Grade(penalty, is_too_poor=any(value < each.min_value for each, value in values))


def require_quality(rule: QualityPenalties, quality: Quality) -> None:
    """Raise LowQuality if the photo is poorer than nearly all photos that the rule was fitted on."""
    for each in rule:
        value = _value(each, quality)
        if value < each.min_value:
            raise LowQuality(each.measure, value, each.min_value, advice=ADVICE[each.measure])


def pair_penalties(rule: QualityPenalties, probe: Quality, reference: Quality) -> tuple[PairPenalty, ...]:
    """Return the penalty of a pair of photos by each measure of the rule."""
    return tuple(_pair_penalty(each, _value(each, probe), _value(each, reference)) for each in rule)


def threshold_reason(rule: QualityPenalties, point: OperatingPoint, penalties: Sequence[PairPenalty] | None) -> str:
    """Explain a pair's threshold at an operating point; `penalties` is None if the photos are unknown."""
    start = f"{point.name}: {point.threshold:.3f}"
    if not rule:
        return f"{start} for all pairs; this model has no penalty for poor photos."
    if penalties is None:
        return f"{start}; the quality of the photos is not known here, so no penalty is taken off."
    reductions = [_in_words(each) for each in penalties if each.penalty >= MIN_STATED_PENALTY]
    if not reductions:
        return f"{start} for all pairs with at least one good photo."
    return f"{start}, {', '.join(reductions)}."


def _value(rule: QualityPenalty, quality: Quality) -> float:
    return float(getattr(quality, rule.measure))


def _pair_penalty(rule: QualityPenalty, probe: float, reference: float) -> PairPenalty:
    return PairPenalty(rule.measure, (probe, reference), rule.at(max(probe, reference)))


def _in_words(pair: PairPenalty) -> str:
    first, second = pair.values
    return f"less {pair.penalty:.3f} because {FAULTS[pair.measure]} ({pair.measure} {first:.2g} and {second:.2g})"


EVEN_PRIOR = 0.5  # a prior that favours neither answer


class DecisionKeywords(TypedDict, total=False):
    """The keywords that determine the decision on a distance; see `VerifyOptions`."""

    threshold: float | None
    operating_point: str | None
    prior: float


class VerifyKeywords(DecisionKeywords, total=False):
    """The keywords of all methods that compare photos; see `VerifyOptions`."""

    face: FaceChoice
    quality: QualityChoice


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How two photos are compared. Raises ValueError for invalid or contradictory values."""

    face: FaceChoice = "dominant"  # selects the face in a photo that shows several
    threshold: float | None = None  # the caller's own, instead of an operating point's
    operating_point: str | None = None  # by name (fmr-1e-4) or by FMR (fmr=1e-4); None = the card's default
    prior: float = EVEN_PRIOR  # 0..1, probability of one person before seeing the photos
    quality: QualityChoice = "refuse"  # whether to refuse a photo that is too poor by the card's rule

    def __post_init__(self) -> None:
        if self.threshold is not None and self.operating_point is not None:
            raise ValueError("give threshold or operating_point, not both: a point is a threshold")
        if self.threshold is not None and not self.threshold > 0:
            raise ValueError(f"threshold must be greater than 0, not {self.threshold}")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior must be between 0 and 1, both excluded, not {self.prior}")
        if self.quality not in QUALITY_CHOICES:
            raise ValueError(f"quality must be one of {', '.join(QUALITY_CHOICES)}, not {self.quality!r}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision on one pair and the evidence from its distance."""

    same: bool  # exactly distance < threshold
    distance: float  # Euclidean, 0 = identical
    threshold: float  # the caller's, or that of the point less the pair's penalty
    threshold_reason: str  # explains the threshold in words
    normalized_distance: float | None  # the distance plus the pair's penalty; None = card without penalties
    probability: float | None  # 0..1, of one person, given the distance and the prior; None = card without calibration
    log_likelihood_ratio: float | None  # natural logarithm; positive supports one person; None = as probability


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFace:
    """The embedding of one face to compare, and the quality of its photo."""

    vector: NDArray[np.float32]  # (128,)
    quality: Quality | None  # None = the photo is unknown


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The rule by which the distance of a pair becomes a decision and a probability."""

    base_threshold: float  # the caller's threshold, or that of the point
    operating_point: OperatingPoint | None  # None = the threshold is the caller's
    quality_penalties: QualityPenalties  # the penalties for poor photos
    likelihood_ratio: LogLikelihoodRatio | None  # None = the card has no calibration
    prior: float  # 0..1, probability of one person before seeing the photos

    def judge(self, probe: ComparedFace, references: Sequence[ComparedFace]) -> Iterator[Judgement]:
        """Compare the probe with each reference; yields one judgement per reference, in order."""
        vectors = np.array([reference.vector for reference in references]).reshape(-1, len(probe.vector))
        for distance, reference in zip(euclidean(probe.vector, vectors), references, strict=True):
            yield self._judgement(distance, self._penalties(probe.quality, reference.quality))

    def _penalties(self, probe: Quality | None, reference: Quality | None) -> tuple[PairPenalty, ...] | None:
        """The penalties of this pair; None if a photo is unknown."""
        if probe is None or reference is None:
            return None
        return pair_penalties(self.quality_penalties, probe, reference)

    def _judgement(self, distance: float, penalties: tuple[PairPenalty, ...] | None) -> Judgement:
        penalty = sum(each.penalty for each in penalties or ())
        threshold, reason = self.base_threshold, GIVEN_BY_CALLER
        if self.operating_point is not None:
            threshold = self.base_threshold - penalty
            reason = threshold_reason(self.quality_penalties, self.operating_point, penalties)
        normalized = distance + penalty if self.quality_penalties else None
        ratio = None if self.likelihood_ratio is None else self.likelihood_ratio.at(distance + penalty)
        probability = None if ratio is None else posterior(ratio, self.prior)
        return Judgement(distance < threshold, distance, threshold, reason, normalized, probability, ratio)


@dataclass(frozen=True, slots=True)
class Distances:
    """The results of comparing one embedding with several, in order."""

    results: tuple[Judgement, ...]
    operating_point: OperatingPoint | None  # the card's point that gave the thresholds; None = the caller's own
    prior: float


@dataclass(frozen=True, slots=True)
class Comparison(Judgement):
    """Whether two images show one person, with the facts behind the decision."""

    operating_point: OperatingPoint | None  # the card's point that gave the threshold; None = the caller's own
    prior: float  # 0..1, probability of one person before seeing the photos
    probe: Sample
    reference: Sample
    model: ModelIdentity
    timings_ms: Timings


@dataclass(frozen=True, slots=True)
class ComparisonBatch:
    """The results of one probe against several references, in order; an unusable reference yields its error."""

    results: tuple[Comparison | SampleError, ...]
    model: ModelIdentity
    timings_ms: Timings


def decision_rule(card: ModelCard, options: VerifyOptions) -> DecisionRule:
    """Return the rule that the options select; by default, that of the card's default point.

    Raises OperatingPointUnavailable.
    """
    if options.threshold is not None:
        return DecisionRule(options.threshold, None, card.quality_penalties, card.ratio, options.prior)
    point = chosen_point(card, options.operating_point)
    return DecisionRule(point.threshold, point, card.quality_penalties, card.ratio, options.prior)


def posterior(log_likelihood_ratio: float, prior: float) -> float:
    """Probability of one person by Bayes' rule: log odds after = log-likelihood ratio + log odds before."""
    log_odds = log_likelihood_ratio + log(prior) - log1p(-prior)
    smaller = exp(-abs(log_odds))  # of the two odds: never overflows
    return (1 if log_odds > 0 else smaller) / (1 + smaller)


def euclidean(probe: NDArray[np.float32], references: Vectors) -> tuple[float, ...]:
    """Euclidean distances of (128,) to each of (n, 128), computed in float64."""
    differences = references.astype(np.float64) - probe.astype(np.float64)
    return tuple(float(distance) for distance in np.sqrt((differences**2).sum(axis=1)))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFace:
    """One face with its embedding, ready to be compared."""

    chip: Chip = field(repr=False)
    sample: Sample  # that of the chip, with its grade if the card has penalties
    vector: NDArray[np.float32] = field(repr=False)  # (128,)


class Verifier:
    """Compares embedded faces of one model, with its penalties for poor photos."""

    def __init__(self, penalties: QualityPenalties, identity: ModelIdentity) -> None:
        self._penalties, self._identity = penalties, identity

    def embedded(self, chip: Chip, vector: NDArray[np.float32]) -> EmbeddedFace:
        """Return a face with its grade, if the card has penalties for poor photos."""
        if not self._penalties:
            return EmbeddedFace(chip, chip.sample, vector)
        grade = grade_photo(self._penalties, chip.sample.quality)
        return EmbeddedFace(chip, replace(chip.sample, grade=grade), vector)

    def compare(
        self,
        probe: EmbeddedFace,
        references: Sequence[EmbeddedFace | SampleError],
        rule: DecisionRule,
        timings: Timings,
        options: VerifyOptions,
    ) -> ComparisonBatch:
        """Compare a probe with references; a reference that is an error already keeps its place.

        A reference that is too poor for the card becomes a LowQuality error, unless `options.quality` is "ignore".
        Raises LowQuality if the probe is too poor.
        """
        with attributing_errors_to("probe"):
            self._require(probe, options)
        references = [self._admitted(each, options) if isinstance(each, EmbeddedFace) else each for each in references]
        faces = [each for each in references if isinstance(each, EmbeddedFace)]
        judgements = rule.judge(_compared(probe), [_compared(face) for face in faces])
        results = tuple(
            self._comparison((probe.sample, each.sample), next(judgements), rule, timings)
            if isinstance(each, EmbeddedFace)
            else each
            for each in references
        )
        return ComparisonBatch(results, self._identity, timings)

    def _require(self, face: EmbeddedFace, options: VerifyOptions) -> None:
        """Raise LowQuality if the photo is too poor and the options refuse such photos."""
        if options.quality == "refuse":
            require_quality(self._penalties, face.sample.quality)

    def _admitted(self, face: EmbeddedFace, options: VerifyOptions) -> EmbeddedFace | SampleError:
        try:
            with attributing_errors_to("reference"):
                self._require(face, options)
        except SampleError as error:
            return error
        return face

    def _comparison(
        self, samples: tuple[Sample, Sample], judgement: Judgement, rule: DecisionRule, timings: Timings
    ) -> Comparison:
        probe, reference = samples
        return Comparison(
            **{each.name: getattr(judgement, each.name) for each in fields(judgement)},
            operating_point=rule.operating_point,
            prior=rule.prior,
            probe=probe,
            reference=reference,
            model=self._identity,
            timings_ms=timings,
        )


def _compared(face: EmbeddedFace) -> ComparedFace:
    return ComparedFace(face.vector, face.sample.quality)


@contextmanager
def attributing_errors_to(image: str) -> Iterator[None]:
    """Set `image` on every SampleError raised inside: "probe" or "reference"."""
    try:
        yield
    except SampleError as error:
        error.image = image
        raise
