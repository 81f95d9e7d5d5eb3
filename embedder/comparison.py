"""Distances between embeddings, and the threshold that turns one into a decision."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .types import Vectors
from .weights.card import ModelCard


@dataclass(frozen=True, slots=True)
class Bar:
    """A threshold, and the name of the card's operating point that it comes from (None = the caller's own)."""

    threshold: float
    operating_point: str | None

    def passes(self, distance: float) -> bool:
        """Is this distance that of one person?"""
        return distance < self.threshold


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances of one embedding to several, in their order, with the bar that decides."""

    distances: tuple[float, ...]
    threshold: float
    operating_point: str | None


def bar_of(card: ModelCard, threshold: float | None) -> Bar:
    """The caller's threshold, or else the card's default point."""
    if threshold is None:
        point = card.point(card.default_point)
        return Bar(point.threshold, point.name)
    if not threshold > 0:
        raise ValueError(f"threshold must be greater than 0, not {threshold}")
    return Bar(threshold, None)


def euclidean(probe: NDArray[np.float32], references: Vectors) -> tuple[float, ...]:
    """Euclidean distances of (128,) to each of (n, 128), computed in float64."""
    differences = references.astype(np.float64) - probe.astype(np.float64)
    return tuple(float(distance) for distance in np.sqrt((differences**2).sum(axis=1)))
