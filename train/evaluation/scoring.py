"""Scores for decisions: distances with or without penalties, and the refusal of photos of too low quality."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, FaceEmbedder, ModelCard, QualityChoice, QualityPenalty, ScoreKind, VisavisError

from .embedding import EmbeddedSet
from .scores import Penalties


def too_poor(rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which photos `verify` refuses, by their measures (n, measures): (n,); False for photos without a face."""
    refused = np.zeros(len(measures), bool)
    for each in rule:
        refused |= measures[:, MEASURES.index(each.measure)] < each.min_value
    return refused


class QualityPenaltyMissing(VisavisError):
    """The options need a penalty for poor photos, but the card has none; the message says what to do."""

    code = "quality_penalty_missing"


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """The kind of score and the refused photos of an evaluation."""

    kind: ScoreKind = "plain"
    penalties: Penalties | None = None  # of the photos' faces; None: scores are plain distances
    quality: QualityChoice = "ignore"
    refused: NDArray[np.bool_] | None = None  # (n,) photos left out; None: none


PLAIN = Scoring()


def require_quality_penalty(card: ModelCard, kind: ScoreKind, quality: QualityChoice) -> None:
    """Raise QualityPenaltyMissing if these options need a penalty for poor photos and the card has none."""
    wanted = [*["--scores normalized"] * (kind == "normalized"), *["--quality refuse"] * (quality == "refuse")]
    if wanted and not card.quality_penalties:
        raise QualityPenaltyMissing(
            f"{' and '.join(wanted)} cannot be used: the card of {card.name} has no penalty for poor photos; "
            "run visavis calibrate --degrade to fit one"
        )


def scoring_of(
    embedder: FaceEmbedder, embedded: EmbeddedSet, kind: ScoreKind, quality: QualityChoice = "ignore"
) -> Scoring:
    """Apply the card's penalties to embedded photos. Raises QualityPenaltyMissing if it needs them and has none."""
    require_quality_penalty(embedder.card, kind, quality)
    rule, measures = embedder.card.quality_penalties, embedded.measures
    penalties = Penalties.by(rule, measures) if kind == "normalized" else None
    return Scoring(kind, penalties, quality, too_poor(rule, measures) if quality == "refuse" else None)
