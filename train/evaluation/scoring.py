"""What comparisons are decided by: distances with penalties or without, and which photos are too poor to take part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import FaceEmbedder, ModelCard, QualityChoice, ScoreKind, VisavisError

from .embedding import EmbeddedSet
from .penalties import Penalties, too_poor


class QualityPenaltyMissing(VisavisError):
    """The card has no penalty for poor photos, and what was asked for takes it; the message says what to do."""

    code = "quality_penalty_missing"


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """By what the comparisons of some photos are decided."""

    scores: ScoreKind = "plain"
    penalties: Penalties | None = None  # of the photos' faces; None: scores are plain distances
    quality: QualityChoice = "ignore"
    refused: NDArray[np.bool_] | None = None  # (n,) photos that take no part; None: all take part


PLAIN = Scoring()


def require_quality_penalty(card: ModelCard, scores: ScoreKind, quality: QualityChoice) -> None:
    """Raise QualityPenaltyMissing where these take a penalty for poor photos and the card has none."""
    wanted = [*["--scores normalized"] * (scores == "normalized"), *["--quality refuse"] * (quality == "refuse")]
    if wanted and not card.quality_penalties:
        raise QualityPenaltyMissing(
            f"{' and '.join(wanted)} cannot be: the card of {card.name} has no penalty for poor photos; "
            "run visavis calibrate --degrade to fit one"
        )


def scoring_of(
    embedder: FaceEmbedder, embedded: EmbeddedSet, scores: ScoreKind, quality: QualityChoice = "ignore"
) -> Scoring:
    """Grade the photos of embedded faces by the card's rule; raises QualityPenaltyMissing where it has none."""
    require_quality_penalty(embedder.card, scores, quality)
    rule, measures = embedder.card.quality_penalties, embedded.measures
    penalties = Penalties.by(rule, measures) if scores == "normalized" else None
    return Scoring(scores, penalties, quality, too_poor(rule, measures) if quality == "refuse" else None)
