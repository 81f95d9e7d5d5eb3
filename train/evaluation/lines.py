"""The straight line by which each face turns distances into scores: what gives every pair a threshold of its own."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from .protocols.protocol import Indices
from .tally import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Of n faces. The score of a pair is its distance times the mean of both slopes, plus the mean of both offsets."""

    slopes: Floats  # (n,) above 0; NaN where there is no face
    offsets: Floats  # (n,)

    def of(self, faces: Indices) -> Self:
        """Return the lines of some of the faces."""
        return type(self)(self.slopes[faces], self.offsets[faces])

    def scores(self, distances: Floats, first: Indices, second: Indices) -> Floats:
        """Return the scores of distances (k,) between faces (k,) and (k,)."""
        slopes, offsets = (line[first] + line[second] for line in (self.slopes, self.offsets))
        scores: Floats = distances * (slopes / 2) + offsets / 2
        return scores

    def score_block(self, distances: Floats, rows: slice, columns: slice) -> None:
        """Turn the distances of every two of some faces, (rows, columns), into scores in their place."""
        for apply, line in ((np.multiply, self.slopes), (np.add, self.offsets)):
            apply(distances, np.add.outer(line[rows] / 2, line[columns] / 2), out=distances)
