"""Scores for decisions: distances with or without penalties, and the refusal of photos of too low quality."""

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
    """Penalties of n faces. A pair's score is its distance plus, per measure, the smaller penalty of its two faces."""

    of_faces: Floats  # (measures, n) in units of distance; NaN without a face

    @classmethod
    def by(cls, rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> Self:
        """Compute the penalties of photos with measures (n, 8), in the order of MEASURES."""
        found = [each.of(measures[:, MEASURES.index(each.measure)]) for each in rule]
        return cls(np.array(found, np.float64).reshape(len(found), len(measures)))

    def of(self, faces: Indices) -> Self:
        """Return the penalties of some of the faces."""
        return type(self)(self.of_faces[:, faces])

    @property
    def most(self) -> float:
        """An upper bound of the penalty of a pair."""
        return float(self.of_faces.max(axis=1, initial=0).sum())

    def scores(self, distances: Floats, first: Indices, second: Indices) -> Floats:
        """Return the scores of distances (k,) between faces (k,) and (k,)."""
        scores: Floats = distances + np.minimum(self.of_faces[:, first], self.of_faces[:, second]).sum(axis=0)
        return scores

    def add_to(self, distances: Floats, rows: slice, columns: slice) -> None:
        """Add penalties to a block of distances (rows, columns), in place."""
        for penalties in self.of_faces:
            distances += np.minimum.outer(penalties[rows], penalties[columns])


def too_poor(rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which photos `verify` refuses, by their measures (n, 8): (n,); False for photos without a face."""
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
