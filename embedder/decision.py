"""From embeddings to a decision: operating point, penalty for poor photos, distance, probability.

`quality.py` has the penalties for poor photos.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from math import exp, log, log1p
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from .detection.detector import face_selector, is_one_face
from .errors import SampleError
from .quality import (
    PairPenalty,
    QualityPenalties,
    grade_photo,
    pair_penalties,
    require_a_common_part,
    require_quality,
    threshold_reason,
)
from .types import (
    FACE_PARTS,
    LEAST_VISIBLE,
    QUALITY_CHOICES,
    Chip,
    FaceSelector,
    ModelIdentity,
    Quality,
    QualityChoice,
    Sample,
    Timings,
    Vectors,
)
from .weights.card import Architecture, ModelCard, chosen_point
from .weights.card_parts import LogLikelihoodRatio, OperatingPoint

GIVEN_BY_CALLER = "The threshold was given by the caller."
EVEN_PRIOR = 0.5  # a prior that favours neither answer


class DecisionKeywords(TypedDict, total=False):
    """The keywords that determine the decision on a distance; see `VerifyOptions`."""

    threshold: float | None
    operating_point: str | None
    prior: float


class VerifyKeywords(DecisionKeywords, total=False):
    """The keywords of all methods that compare photos; see `VerifyOptions`."""

    face: FaceSelector
    probe_face: FaceSelector | None
    reference_face: FaceSelector | None
    quality: QualityChoice


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How two photos are compared. Raises ValueError for invalid or contradictory values."""

    face: FaceSelector = "dominant"  # selects the face in a photo that shows several; see face_selector
    probe_face: FaceSelector | None = None  # the same for the probe alone; None = as `face`
    reference_face: FaceSelector | None = None  # the same for the references; None = as `face`
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
        for face in (self.face, self.face_of_probe, self.face_of_reference):
            face_selector(face)

    @property
    def face_of_probe(self) -> str:
        """What selects the face in the probe."""
        return face_selector(self.face if self.probe_face is None else self.probe_face)

    @property
    def face_of_reference(self) -> str:
        """What selects the face in each reference."""
        return face_selector(self.face if self.reference_face is None else self.reference_face)


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

    vector: NDArray[np.float32]  # (channels,)
    quality: Quality | None  # None = the photo is unknown


def compared_faces(vectors: Sequence[NDArray[np.float32]], architecture: Architecture) -> list[ComparedFace]:
    """Return faces of unknown photos with these embeddings. Raises ValueError for one that the model cannot make."""
    n_channels = architecture.embedding_size
    for vector in vectors:
        if vector.shape != (n_channels,):
            raise ValueError(f"an embedding of this model has shape ({n_channels},), not {vector.shape}")
        if not architecture.makes_length(length := float(np.linalg.norm(vector.astype(np.float64)))):
            raise ValueError(f"an embedding of this model has a length of about 1, not {length:.3g}")
    return [ComparedFace(vector, None) for vector in vectors]


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
    notes: tuple[str, ...] = ()  # sentences about what a reader of this result should know; usually empty


@dataclass(frozen=True, slots=True)
class ComparisonBatch:
    """The results of one probe against several references, in order; an unusable reference yields its error."""

    results: tuple[Comparison | SampleError, ...]
    model: ModelIdentity
    timings_ms: Timings


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """What a note may refer to: the two faces, and whether both photos are the same file."""

    probe: Sample
    reference: Sample
    is_one_picture: bool


def _on_one_picture(pair: ComparedPair) -> Iterator[str]:
    if not pair.is_one_picture:
        return
    if is_one_face(pair.probe.face, pair.reference.face):
        yield "Both images are the same file, and both faces are the same face in it: the distance says nothing."
    else:
        yield (
            "Both images are the same file, and the faces are two faces in it: normally two people, unless one of them "
            "is a picture of the other, such as a document or a mirror image."
        )


def _on_covered_faces(pair: ComparedPair) -> Iterator[str]:
    for role, sample in (("probe", pair.probe), ("reference", pair.reference)):
        for part in FACE_PARTS:
            visible = getattr(sample.quality, f"{part}_visible")
            if visible < LEAST_VISIBLE:
                verb = "are" if part == "eyes" else "is"
                yield f"The {part} of the {role}'s face {verb} covered: {100 * visible:.0f}% of that region is visible."


def _on_rotated_faces(pair: ComparedPair) -> Iterator[str]:
    for role, sample in (("probe", pair.probe), ("reference", pair.reference)):
        if sample.face.rotation:
            yield f"The {role}'s face is rotated in its picture by {sample.face.rotation} degrees clockwise."


def _on_stretched_photos(pair: ComparedPair) -> Iterator[str]:
    for role, sample in (("probe", pair.probe), ("reference", pair.reference)):
        if sample.is_stretched:
            yield f"The {role} is dark or flat, so its grey levels were stretched. Use a photo in better light."


NoteRule = Callable[[ComparedPair], Iterator[str]]
NOTE_RULES: tuple[NoteRule, ...] = (
    _on_one_picture,
    _on_covered_faces,
    _on_rotated_faces,
    _on_stretched_photos,
)  # in the order of their sentences


def with_notes(batch: ComparisonBatch, is_one_picture: Sequence[bool]) -> ComparisonBatch:
    """Return the batch with its notes; `is_one_picture` tells for each reference whether it is the probe's file."""
    results = tuple(
        each if isinstance(each, SampleError) else replace(each, notes=_notes_on(each, is_one))
        for each, is_one in zip(batch.results, is_one_picture, strict=True)
    )
    return replace(batch, results=results)


def _notes_on(comparison: Comparison, is_one_picture: bool) -> tuple[str, ...]:  # noqa: FBT001 - a fact, not a switch
    pair = ComparedPair(comparison.probe, comparison.reference, is_one_picture)
    return tuple(note for rule in NOTE_RULES for note in rule(pair))


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
    """Euclidean distances of (channels,) to each of (n, channels), computed in float64."""
    differences = references.astype(np.float64) - probe.astype(np.float64)
    return tuple(float(distance) for distance in np.sqrt((differences**2).sum(axis=1)))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFace:
    """One face with its embedding, ready to be compared."""

    chip: Chip = field(repr=False)
    sample: Sample  # that of the chip, with its grade if the card has penalties
    vector: NDArray[np.float32] = field(repr=False)  # (channels,)


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

        A reference that is too poor for the card becomes a LowQuality error, and one that is covered where the probe
        is covered a FaceCovered error, unless `options.quality` is "ignore". Raises LowQuality if the probe is too
        poor.
        """
        if options.quality == "refuse":
            with attributing_errors_to("probe"):
                require_quality(self._penalties, probe.sample.quality)
            references = [self._admitted(probe, each) for each in references]
        faces = [each for each in references if isinstance(each, EmbeddedFace)]
        judgements = rule.judge(_compared(probe), [_compared(face) for face in faces])
        results = tuple(
            self._comparison((probe.sample, each.sample), next(judgements), rule, timings)
            if isinstance(each, EmbeddedFace)
            else each
            for each in references
        )
        return ComparisonBatch(results, self._identity, timings)

    def _admitted(self, probe: EmbeddedFace, reference: EmbeddedFace | SampleError) -> EmbeddedFace | SampleError:
        if isinstance(reference, SampleError):
            return reference
        try:
            with attributing_errors_to("reference"):
                require_quality(self._penalties, reference.sample.quality)
                require_a_common_part(probe.sample.quality, reference.sample.quality)
        except SampleError as error:
            return error
        return reference

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
