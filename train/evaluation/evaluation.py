"""Evaluate a model on photos: embed, compare, decide and measure."""

from dataclasses import dataclass, field
from importlib.metadata import version

from embedder import FaceChoice, FaceEmbedder, Progress, QualityChoice, ScoreKind, no_progress

from . import summary
from .bootstrap import Resampling
from .cache import EmbeddingCache
from .compared import ComparedPhotos, compare_photos
from .data_checks import evaluation_cautions
from .embedding import embed_photos
from .identification import evaluate_identification
from .protocols.protocol import Protocol, data_digest
from .results import DecisionThreshold, Evaluation, EvaluationData, IdentificationReport
from .scoring import scoring_of
from .thresholds import Decision, ThresholdChoice, decide, decide_at, require_both_kinds

COMPUTED_WITH = ("visavis", "torch", "numpy", "pillow", "facenet-pytorch", "scikit-learn")


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Settings of an evaluation: how to embed photos, score comparisons and draw intervals."""

    embedder: FaceEmbedder
    face: FaceChoice
    cache: EmbeddingCache | None = None
    resampling: Resampling = field(default_factory=Resampling)
    progress: Progress = no_progress
    score_kind: ScoreKind = "plain"
    quality: QualityChoice = "ignore"
    templates_per_person: int | None = None  # at most, in galleries; None: identification is not measured


def embed_and_compare(protocol: Protocol, setting: EvaluationConfig) -> ComparedPhotos:
    """Embed the photos of a protocol and compare them. Raises QualityPenaltyMissing, and as `embed_photos`."""
    embedded = embed_photos(protocol, setting.embedder, setting.face, setting.cache, setting.progress)
    scoring = scoring_of(setting.embedder, embedded, setting.score_kind, setting.quality)
    return compare_photos(protocol, embedded, seed=setting.resampling.seed, scoring=scoring)


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationResult:
    """An evaluation with the data that it was computed from."""

    found: Evaluation
    compared: ComparedPhotos
    decision: Decision
    measured: summary.Measurements


def evaluate_compared(
    compared: ComparedPhotos, setting: EvaluationConfig, threshold: ThresholdChoice | DecisionThreshold = None
) -> EvaluationResult:
    """Decide and measure. Raises ProtocolError if a kind of comparison is missing, and as `decide`."""
    require_both_kinds(compared.scores)
    card, scores, resampling = setting.embedder.card, compared.scores, setting.resampling
    if isinstance(threshold, DecisionThreshold):
        decision = decide_at(scores, threshold)
    else:
        decision = decide(scores, compared.listed, card, threshold)
    measured = summary.measurements(compared, decision, card, resampling)
    found = Evaluation(
        data=_data(compared, setting),
        model=setting.embedder.identity,
        mirror=card.architecture.mirror,
        score_kind=compared.scoring.kind,
        threshold=decision.threshold,
        figures=summary.figures(compared, decision, measured),
        with_failures=summary.figures_with_failures(compared, decision),
        failures=compared.failures(),
        refusals=compared.refusals(),
        claims=summary.claims(compared, card, measured),
        evidence=summary.evidence_of(compared, card, measured),
        curve=summary.curve(compared, measured),
        histogram=summary.histogram(scores),
        worst_false_matches=compared.worst_false_matches(decision.scores, decision.at),
        worst_false_non_matches=compared.worst_false_non_matches(decision.scores, decision.at),
        resampling=resampling,
        versions={name: version(name) for name in COMPUTED_WITH},
        cautions=evaluation_cautions(compared, card),
        identification=_identification(compared, setting),
    )
    return EvaluationResult(found, compared, decision, measured)


def _identification(compared: ComparedPhotos, setting: EvaluationConfig) -> IdentificationReport | None:
    if setting.templates_per_person is None:
        return None
    card, resampling = setting.embedder.card, setting.resampling
    return evaluate_identification(compared, card, setting.templates_per_person, resampling, setting.progress)


def _data(compared: ComparedPhotos, setting: EvaluationConfig) -> EvaluationData:
    protocol = compared.protocol
    digest = data_digest(protocol, compared.embedded.image_digests)
    n_photos, n_identities = len(protocol.photos), protocol.n_identities
    return EvaluationData(protocol.name, digest, n_photos, n_identities, setting.face, protocol.n_other_files)
