"""What comparisons are decided by: distances with penalties or without, and which photos are too poor to take part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, FaceEmbedder, ModelCard, QualityChoice, QualityPenalty, ScoreKind, VisavisError

from .embedding import EmbeddedSet
from .metrics import Floats
from .protocols.protocol import Indices


@dataclass(frozen=True, slots=True, eq=False)
class Penalties:
    """Of n faces. The score of a pair is its distance plus, for each measure, the smaller of both faces' penalties."""

    of_faces: Floats  # (measures, n) in units of distance; NaN where there is no face

    @classmethod
    def by(cls, rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> Self:
        """Grade photos whose measures are (n, 8), in the order of MEASURES."""
        found = [each.of(measures[:, MEASURES.index(each.measure)]) for each in rule]
        return cls(np.array(found, np.float64).reshape(len(found), len(measures)))

    def of(self, faces: Indices) -> Self:
        """Return the penalties of some of the faces."""
        return type(self)(self.of_faces[:, faces])

    @property
    def most(self) -> float:
        """The largest penalty that a pair of them may have."""
        return float(self.of_faces.max(axis=1, initial=0).sum())

    def scores(self, distances: Floats, first: Indices, second: Indices) -> Floats:
        """Return the scores of distances (k,) between faces (k,) and (k,)."""
        scores: Floats = distances + np.minimum(self.of_faces[:, first], self.of_faces[:, second]).sum(axis=0)
        return scores

    def add_to(self, distances: Floats, rows: slice, columns: slice) -> None:
        """Turn the distances of every two of some faces, (rows, columns), into scores in their place."""
        for penalties in self.of_faces:
            distances += np.minimum.outer(penalties[rows], penalties[columns])


def too_poor(rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which photos `verify` refuses, by their measures (n, 8): (n,). One without a face is not among them."""
    refused = np.zeros(len(measures), bool)
    for each in rule:
        refused |= measures[:, MEASURES.index(each.measure)] < each.min_value
    return refused


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
