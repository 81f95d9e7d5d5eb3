"""What poor photos cost, for many faces: penalties by a card's rule, added to the distances between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, QualityPenalty

from .protocols.protocol import Indices
from .tally import Floats


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
