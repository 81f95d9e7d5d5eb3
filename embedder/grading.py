"""From an embedding and its photo's quality to what normalises the face's distances: its place and its penalties."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .errors import LowQuality
from .neighbourhood import Neighbourhoods, Places
from .quality import MEASURES
from .types import Grade, Quality
from .weights.own_threshold import OwnThreshold

ADVICE = {
    "sharpness": "send a sharper or larger photo",
    "blockiness": "send a photo that was compressed less",
    "eye_distance_px": "send a photo in which the face is larger",
    "turn": "send a photo in which the face looks at the camera",
}
OTHER_ADVICE = "send a clearer photo of the face"


@dataclass(frozen=True, slots=True)
class Standing:
    """What normalises the distances of one face."""

    mean: float  # of the distances to its nearest strangers
    spread: float  # their standard deviation
    measured: Mapping[str, float]  # by measure; what is not known is not there
    costs: Mapping[str, float]  # the penalty of each measure of the card's rule that is known

    @property
    def is_photo_known(self) -> bool:
        """Were measures taken of the photo itself, not of the embedding alone?"""
        return len(self.measured) > 1

    @property
    def penalty(self) -> float:
        """All that the photo's quality costs."""
        return sum(self.costs.values())

    @property
    def slope(self) -> float:
        """Score = distance * mean of both slopes + mean of both offsets."""
        return 1 / self.spread

    @property
    def offset(self) -> float:
        """See slope."""
        return self.penalty - self.mean / self.spread


@dataclass(frozen=True, slots=True)
class Pair:
    """Two faces whose distance is to be normalised: the mean over both of (distance - mean) / spread + penalty."""

    probe: Standing
    reference: Standing

    @classmethod
    def of(cls, probe: Standing | None, reference: Standing | None) -> Self | None:
        """Join two faces; None where the card has no own thresholds and so nothing is known of them."""
        return None if probe is None or reference is None else cls(probe, reference)

    @property
    def slope(self) -> float:
        """Score = slope * distance + offset."""
        return (self.probe.slope + self.reference.slope) / 2

    @property
    def offset(self) -> float:
        """See slope."""
        return (self.probe.offset + self.reference.offset) / 2

    def score_at(self, distance: float) -> float:
        """Normalise a distance."""
        return self.slope * distance + self.offset

    def distance_at(self, score: float) -> float:
        """Return the distance that has a score: the pair's own threshold, where it is a point's."""
        return (score - self.offset) / self.slope


@dataclass(frozen=True, slots=True, eq=False)
class Grader:
    """A card's own thresholds, ready to be used."""

    own: OwnThreshold
    neighbourhoods: Neighbourhoods

    def standing(self, vector: NDArray[np.float32], quality: Quality | None) -> Standing:
        """Grade one face (128,); without its photo's quality, only what the embedding itself tells costs anything."""
        mean, spread = self.neighbourhoods.of_one(vector)
        known = {} if quality is None else {name: getattr(quality, name) for name in MEASURES}
        measured = known | {"embedding_length": _length(vector)}
        curves = self.own.quality.curves
        costs: dict[str, float] = {
            curve.measure: curve.at(measured[curve.measure]) for curve in curves if curve.measure in measured
        }
        return Standing(mean, spread, measured, costs)

    def grade(self, standing: Standing) -> Grade:
        """Say what the quality of a graded face costs it."""
        penalty = standing.penalty
        return Grade(standing.measured["embedding_length"], penalty, penalty > self.own.quality.floor)

    def require(self, standing: Standing) -> None:
        """Raise LowQuality for a face whose photo is too poor, naming the measure that costs it most."""
        excess = standing.penalty - self.own.quality.floor
        if excess <= 0:
            return
        worst = max(self.own.quality.curves, key=lambda curve: standing.costs.get(curve.measure, 0.0))
        limit = worst.where(max(0.0, standing.costs[worst.measure] - excess))
        advice = ADVICE.get(worst.measure, OTHER_ADVICE)
        raise LowQuality(worst.measure, standing.measured[worst.measure], limit, advice=advice)

    def places(self, vectors: NDArray[np.float32], measures: NDArray[np.float32]) -> Places:
        """Grade many faces: embeddings (n, 128), photos (n, 8) in the order of MEASURES; NaN rows stay NaN."""
        columns = dict(zip(MEASURES, measures.astype(np.float64).T, strict=True))
        lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
        penalties = self.own.quality.penalties(columns | {"embedding_length": lengths})
        return Places(*self.neighbourhoods(vectors), np.where(np.isnan(lengths), np.nan, penalties))


def _length(vector: NDArray[np.float32]) -> float:
    channels = vector.astype(np.float64)
    return sqrt(float(channels @ channels))
