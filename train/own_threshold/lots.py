"""Faces of one kind of photo, compared with each other: what the price of a poor photo is measured on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, Places

from ..evaluation.protocols.protocol import Indices

# What is told of a face by how near its nearest impostors come: enough of them to be steady, few enough to be near.
NEAR = 0.02

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Comparisons of one kind, and their normalised distances without any penalty."""

    scores: Floats  # (k,)
    first: Indices  # (k,) positions among the faces
    second: Indices  # (k,)

    def mean_penalties(self, penalties: Floats) -> Floats:
        """Mean over both faces of penalties (n,): (k,)."""
        return (penalties[self.first] + penalties[self.second]) / 2

    def scores_with(self, penalties: Floats) -> Floats:
        """Normalised distances of faces with penalties (n,): (k,)."""
        return self.scores + self.mean_penalties(penalties)


@dataclass(frozen=True, slots=True, eq=False)
class Lot:
    """n faces whose photos were degraded alike, or not at all."""

    genuine: Pairs
    impostor: Pairs
    nearness: Floats  # (n,) the score below which NEAR of a face's impostor comparisons are
    measured: Mapping[str, Floats]  # (n,) of each measure of quality, by name

    def __len__(self) -> int:
        return len(self.nearness)


def measured_of(vectors: NDArray[np.float32], measures: NDArray[np.float32]) -> dict[str, Floats]:
    """All measures of quality by name, (n,) each: of photos (n, 8), and the length of their embeddings (n, 128)."""
    measured = dict(zip(MEASURES, measures.astype(np.float64).T, strict=True))
    return measured | {"embedding_length": np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))}


def lot_of(vectors: NDArray[np.float32], identities: Indices, places: Places, measured: Mapping[str, Floats]) -> Lot:
    """Compare faces (n, 128) of identities (n,) with each other; the penalties of their places do not count."""
    scores = _scores(vectors.astype(np.float64), places)
    is_same = identities[:, None] == identities
    genuine, impostor = (_pairs(scores, members) for members in (is_same, ~is_same))
    return Lot(genuine, impostor, _nearness(scores, is_same), measured)


def _scores(vectors: Floats, places: Places) -> Floats:
    squares = (vectors**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))
    slopes, offsets = places.slopes / 2, -places.means / places.spreads / 2
    scores: Floats = distances * (slopes[:, None] + slopes) + (offsets[:, None] + offsets)
    return scores


def _pairs(scores: Floats, members: NDArray[np.bool_]) -> Pairs:
    first, second = (part.astype(np.int32) for part in np.nonzero(np.triu(members, 1)))
    return Pairs(scores[first, second], first, second)


def _nearness(scores: Floats, is_same: NDArray[np.bool_]) -> Floats:
    ordered = np.sort(np.where(is_same, np.inf, scores), axis=1)
    ranks = (NEAR * (~is_same).sum(axis=1)).astype(np.int64)
    nearness: Floats = ordered[np.arange(len(ordered)), ranks]
    return nearness
