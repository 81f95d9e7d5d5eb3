"""The distances of every two faces of a data set, a block at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .protocols.protocol import Indices
from .tally import Floats

BLOCK = 1024  # faces to a side of a block: its distances fill 8 MiB
MAX_BINS = 1_000_000  # of the grid; its step is a power of ten, so that thresholds are short numbers
ON_THE_GRID = 1e-6  # of a step: so that a distance on the grid does not fall just below it
IMPOSTOR, GENUINE, NEITHER = 0, 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The embeddings that are there to be compared."""

    vectors: Floats  # (n, 128)
    identities: Indices  # (n,)
    photos: Indices  # (n,) positions among the photos
    decimals: int  # of the grid that their distances are counted on


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Distances of some faces to some others; any two faces meet in one block only."""

    distances: Floats  # (rows * columns,)
    bins: NDArray[np.int32]  # (rows * columns,) on the grid
    kinds: NDArray[np.int8]  # (rows * columns,)
    first: tuple[int, int]  # row and column, as positions among the faces
    n_columns: int

    def members(self, kind: int) -> NDArray[np.int64]:
        """Positions of the comparisons of one kind."""
        return np.flatnonzero(self.kinds == kind)

    def photos(self, positions: NDArray[np.int64], faces: Faces) -> tuple[Indices, Indices]:
        """Which photos some of the comparisons are between."""
        rows, columns = np.divmod(positions, self.n_columns)
        return faces.photos[rows + self.first[0]], faces.photos[columns + self.first[1]]


def faces_of(vectors: NDArray[np.float32], identities: Indices) -> Faces:
    """Take the faces of embeddings (n, 128) whose identities are (n,); NaN rows are those that were not found."""
    found = np.flatnonzero(~np.isnan(vectors).any(axis=1)).astype(np.int32)
    kept = vectors[found].astype(np.float64)
    farthest = 2 * float(np.sqrt((kept**2).sum(axis=1).max(initial=0)))
    decimals = int(np.floor(np.log10(MAX_BINS / max(farthest, 1e-6))))
    return Faces(kept, identities[found], found, decimals)


def blocks(faces: Faces) -> Iterator[Block]:
    """Every two faces once, block by block, always in the same order."""
    starts = range(0, len(faces.vectors), BLOCK)
    squares = (faces.vectors**2).sum(axis=1)
    for top in starts:
        for left in starts[top // BLOCK :]:
            yield _block(faces, squares, top, left)


def _block(faces: Faces, squares: Floats, top: int, left: int) -> Block:
    rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
    products = faces.vectors[rows] @ faces.vectors[columns].T  # (rows, columns)
    distances = np.sqrt(np.maximum(squares[rows, None] + squares[columns] - 2 * products, 0))
    kinds = (faces.identities[rows, None] == faces.identities[columns]).astype(np.int8)
    if top == left:
        kinds[np.tril_indices(len(kinds))] = NEITHER
    bins = (distances * 10.0**faces.decimals + ON_THE_GRID).astype(np.int32)
    return Block(distances.ravel(), bins.ravel(), kinds.ravel(), (top, left), kinds.shape[1])
