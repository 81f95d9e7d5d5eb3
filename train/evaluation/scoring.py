"""What comparisons are decided by: plain distances or normalised ones, and which photos are too poor to take part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import FaceEmbedder, ModelCard, OwnThreshold, QualityChoice, ScoreKind, VisavisError

from .embedding import EmbeddedSet
from .lines import Lines


class OwnThresholdMissing(VisavisError):
    """The card has no thresholds of the pairs' own, and what was asked for takes them; the message says what to do."""

    code = "own_threshold_missing"


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """By what the comparisons of some photos are decided."""

    scores: ScoreKind = "plain"
    lines: Lines | None = None  # of the photos' faces; None: scores are plain distances
    quality: QualityChoice = "ignore"
    refused: NDArray[np.bool_] | None = None  # (n,) photos that take no part; None: all take part


PLAIN = Scoring()


def own_part(card: ModelCard, scores: ScoreKind, quality: QualityChoice) -> OwnThreshold | None:
    """Return the part of the card that these take, None if they take none. Raises OwnThresholdMissing."""
    wanted = [*["--scores own"] * (scores == "own"), *["--quality refuse"] * (quality == "refuse")]
    if wanted and card.own_threshold is None:
        raise OwnThresholdMissing(
            f"{' and '.join(wanted)} cannot be: the card of {card.name} has one threshold for all pairs and no floor "
            "of quality; run visavis calibrate --cohort to give every pair its own"
        )
    return card.own_threshold if wanted else None


def scoring_of(
    embedder: FaceEmbedder, embedded: EmbeddedSet, scores: ScoreKind, quality: QualityChoice = "ignore"
) -> Scoring:
    """Place the faces of embedded photos, and weigh these; raises OwnThresholdMissing where the card cannot."""
    own = own_part(embedder.card, scores, quality)
    if own is None:
        return PLAIN
    places = embedder.places(embedded.vectors, embedded.measures)
    lines = Lines(places.slopes, places.offsets) if scores == "own" else None
    refused = places.penalties > own.quality.floor if quality == "refuse" else None  # NaN, no face, is not above
    return Scoring(scores, lines, quality, refused)
