"""The scores of every two faces of a data set, a block at a time: their distances, with penalties if there are any."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .penalties import Penalties
from .protocols.protocol import Indices
from .tally import Floats

BLOCK = 1024  # faces to a side of a block: its scores fill 8 MiB
MAX_BINS = 1_000_000  # of the grid; its step is a power of ten, so that thresholds are short numbers
ON_THE_GRID = 1e-6  # of a step: so that a score on the grid does not fall just below it
MORE_DECIMALS = 4  # of scores kept by name; further ones depend on how many threads multiplied the matrices
IMPOSTOR, GENUINE, NEITHER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """What scores are rounded down to and counted on."""

    decimals: int

    @classmethod
    def up_to(cls, highest: float) -> Self:
        """Lay a grid, as fine as can be, over all scores from 0 to the highest that there may be."""
        return cls(int(np.floor(np.log10(MAX_BINS / max(highest, 1e-6)))))

    def bins(self, scores: Floats) -> NDArray[np.int32]:
        """Return the place of each score, counted from 0: of their shape."""
        steps = scores * 10.0**self.decimals
        steps += ON_THE_GRID
        return steps.astype(np.int32)

    def shortened(self, scores: Floats) -> Floats:
        """Return scores with a few digits beyond the grid: (k,)."""
        shortened: Floats = np.round(scores, self.decimals + MORE_DECIMALS)
        return shortened

    def values(self, bins: NDArray[np.int64]) -> Floats:
        """Return the lowest score of each bin: (k,)."""
        values: Floats = np.round(bins / 10.0**self.decimals, self.decimals)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFaces:
    """The embeddings that are there to be compared."""

    vectors: Floats  # (n, 128)
    identities: Indices  # (n,)
    photos: Indices  # (n,) positions among the photos
    penalties: Penalties | None  # None: a score is the plain distance
    grid: ScoreGrid


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBlock:
    """Scores of some faces with some others; any two faces meet in one block only."""

    scores: Floats  # (rows * columns,)
    bins: NDArray[np.int32]  # (rows * columns,) on the grid
    kinds: NDArray[np.int8]  # (rows * columns,)
    first: tuple[int, int]  # row and column, as positions among the faces
    n_columns: int

    def members(self, kind: int) -> NDArray[np.int64]:
        """Positions of the comparisons of one kind."""
        return np.flatnonzero(self.kinds == kind)

    def photos(self, positions: NDArray[np.int64], faces: ComparedFaces) -> tuple[Indices, Indices]:
        """Which photos some of the comparisons are between."""
        rows, columns = np.divmod(positions, self.n_columns)
        return faces.photos[rows + self.first[0]], faces.photos[columns + self.first[1]]


def compared_faces(
    vectors: NDArray[np.float32], identities: Indices, penalties: Penalties | None = None
) -> ComparedFaces:
    """Take the faces of embeddings (n, 128) whose identities are (n,); NaN rows are those that were not found."""
    found = np.flatnonzero(~np.isnan(vectors).any(axis=1)).astype(np.int32)
    kept = vectors[found].astype(np.float64)
    theirs = None if penalties is None else penalties.of(found)
    farthest = 2 * float(np.sqrt((kept**2).sum(axis=1).max(initial=0)))
    grid = ScoreGrid.up_to(farthest + (0.0 if theirs is None else theirs.most))
    return ComparedFaces(kept, identities[found], found, theirs, grid)


def blocks(faces: ComparedFaces) -> Iterator[ScoreBlock]:
    """Every two faces once, block by block, always in the same order."""
    starts = range(0, len(faces.vectors), BLOCK)
    squares = (faces.vectors**2).sum(axis=1)
    for top in starts:
        for left in starts[top // BLOCK :]:
            yield _block(faces, squares, top, left)


def _block(faces: ComparedFaces, squares: Floats, top: int, left: int) -> ScoreBlock:
    rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
    products = faces.vectors[rows] @ faces.vectors[columns].T  # (rows, columns)
    scores = np.sqrt(np.maximum(squares[rows, None] + squares[columns] - 2 * products, 0))
    if faces.penalties is not None:
        faces.penalties.add_to(scores, rows, columns)
    kinds = (faces.identities[rows, None] == faces.identities[columns]).astype(np.int8)
    if top == left:
        kinds[np.tril_indices(len(kinds))] = NEITHER
    return ScoreBlock(scores.ravel(), faces.grid.bins(scores).ravel(), kinds.ravel(), (top, left), kinds.shape[1])
