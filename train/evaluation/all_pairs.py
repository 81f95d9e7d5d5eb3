"""All-against-all comparison in blocks: scores are counted on a grid, and the full matrix is never stored.

Memory grows linearly with the number of faces. The first of two passes over the blocks counts scores; the second uses
these counts to draw comparisons that are kept with their photos (see `strata_of`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .metrics import Floats, ScoreDistribution
from .protocols.protocol import Indices
from .scores import ComparisonKind, Counts, Penalties, ScoreSample, ScoreSet, ScoreStratum, strata_of

BLOCK = 1024  # faces per side of a block: its scores fill 8 MiB
MAX_BINS = 1_000_000  # of the grid; its step is a power of ten, so that thresholds have few digits
ON_THE_GRID = 1e-6  # of a step: so that a score on the grid does not fall just below it
MORE_DECIMALS = 4  # of sampled scores; further ones depend on the number of threads of the matrix product
IMPOSTOR, GENUINE, NEITHER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """The grid on which scores are rounded down and counted."""

    decimals: int

    @classmethod
    def up_to(cls, highest: float) -> Self:
        """Return the finest grid for scores from 0 to `highest`."""
        return cls(int(np.floor(np.log10(MAX_BINS / max(highest, 1e-6)))))

    def bins(self, scores: Floats) -> NDArray[np.int32]:
        """Return the bin of each score, counted from 0: same shape."""
        steps = scores * 10.0**self.decimals
        steps += ON_THE_GRID
        return steps.astype(np.int32)

    def shortened(self, scores: Floats) -> Floats:
        """Round scores to a few digits more than the grid: (k,)."""
        shortened: Floats = np.round(scores, self.decimals + MORE_DECIMALS)
        return shortened

    def values(self, bins: NDArray[np.int64]) -> Floats:
        """Return the lowest score of each bin: (k,)."""
        values: Floats = np.round(bins / 10.0**self.decimals, self.decimals)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class ComparedFaces:
    """The embeddings to compare."""

    vectors: Floats  # (n, channels)
    identities: Indices  # (n,)
    photos: Indices  # (n,) positions among the photos
    penalties: Penalties | None  # None: scores are plain distances
    grid: ScoreGrid


@dataclass(frozen=True, slots=True, eq=False)
class ScoreBlock:
    """Scores of some faces with some others; each pair of faces is in one block only."""

    scores: Floats  # (rows * columns,)
    bins: NDArray[np.int32]  # (rows * columns,) on the grid
    kinds: NDArray[np.int8]  # (rows * columns,)
    first: tuple[int, int]  # row and column, as positions among the faces
    n_columns: int

    def members(self, kind: int) -> NDArray[np.int64]:
        """Return the positions of the comparisons of one kind."""
        return np.flatnonzero(self.kinds == kind)

    def photos(self, positions: NDArray[np.int64], faces: ComparedFaces) -> tuple[Indices, Indices]:
        """Return the two photos of each of some comparisons."""
        rows, columns = np.divmod(positions, self.n_columns)
        return faces.photos[rows + self.first[0]], faces.photos[columns + self.first[1]]


def compared_faces(
    vectors: NDArray[np.float32], identities: Indices, penalties: Penalties | None = None
) -> ComparedFaces:
    """Select the faces among embeddings (n, channels) with identities (n,); rows of NaN have no face."""
    found = np.flatnonzero(~np.isnan(vectors).any(axis=1)).astype(np.int32)
    kept = vectors[found].astype(np.float64)
    theirs = None if penalties is None else penalties.of(found)
    farthest = 2 * float(np.sqrt((kept**2).sum(axis=1).max(initial=0)))
    grid = ScoreGrid.up_to(farthest + (0.0 if theirs is None else theirs.most))
    return ComparedFaces(kept, identities[found], found, theirs, grid)


def blocks(faces: ComparedFaces) -> Iterator[ScoreBlock]:
    """Yield every pair of faces once, block by block, always in the same order."""
    starts = range(0, len(faces.vectors), BLOCK)
    for top in starts:
        for left in starts[top // BLOCK :]:
            yield _block(faces, top, left)


def scores_between(faces: ComparedFaces, rows: slice | Indices, columns: slice | Indices) -> Floats:
    """Return the scores of some of the faces with some others: (rows, columns)."""
    first, second = faces.vectors[rows], faces.vectors[columns]
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    scores: Floats = np.sqrt(np.maximum(squares - 2 * (first @ second.T), 0))
    if faces.penalties is not None:
        faces.penalties.add_to(scores, rows, columns)
    return scores


def _block(faces: ComparedFaces, top: int, left: int) -> ScoreBlock:
    rows, columns = slice(top, top + BLOCK), slice(left, left + BLOCK)
    scores = scores_between(faces, rows, columns)
    kinds = (faces.identities[rows, None] == faces.identities[columns]).astype(np.int8)
    if top == left:
        kinds[np.tril_indices(len(kinds))] = NEITHER
    return ScoreBlock(scores.ravel(), faces.grid.bins(scores).ravel(), kinds.ravel(), (top, left), kinds.shape[1])


Drawn = tuple[Floats, Indices, Indices]  # scores, probes, references


def compare_all(
    vectors: NDArray[np.float32], identities: Indices, *, seed: int, penalties: Penalties | None = None
) -> ScoreSet:
    """Compare all pairs of embeddings (n, channels) with identities (n,); rows of NaN have no face.

    A score is the distance, plus the pair's penalty if there are penalties.
    """
    faces = compared_faces(vectors, identities, penalties)
    generator = np.random.default_rng(seed)
    counts = _count(faces)
    samples = _sample(
        faces, [strata_of(counts[k], nearest_first=k == IMPOSTOR) for k in (IMPOSTOR, GENUINE)], generator
    )
    lost = n_comparisons(identities) - n_comparisons(faces.identities)
    n_pairs = n_pairs_of_people(faces.identities)
    genuine, impostor = (
        ComparisonKind(_tally(counts[k], faces.grid), samples[k], int(lost[k]), n_pairs[k]) for k in (GENUINE, IMPOSTOR)
    )
    return ScoreSet(genuine, impostor, identities)


def n_comparisons(identities: Indices) -> NDArray[np.int64]:
    """Return the numbers of impostor and genuine comparisons for photos of these identities: (2,)."""
    n, of_each = len(identities), np.bincount(identities).astype(np.int64)
    genuine = int((of_each * (of_each - 1) // 2).sum())
    return np.array([n * (n - 1) // 2 - genuine, genuine])


def n_pairs_of_people(identities: Indices) -> tuple[int, int]:
    """Return the number of pairs of people, and of people with two photos or more."""
    of_each = np.unique(identities, return_counts=True)[1]
    return len(of_each) * (len(of_each) - 1) // 2, int((of_each > 1).sum())


def _count(faces: ComparedFaces) -> list[Counts]:
    """Count the comparisons of each kind in each bin."""
    counts = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
    for block in blocks(faces):
        genuine, neither = (np.bincount(block.bins[block.members(kind)]) for kind in (GENUINE, NEITHER))
        impostor = np.bincount(
            block.bins
        )  # nearly all are impostors, so counting all and subtracting the others is faster
        for others in (genuine, neither):
            impostor[: len(others)] -= others
        counts = [_sum(counts[IMPOSTOR], impostor), _sum(counts[GENUINE], genuine)]
    return counts


def _sum(first: Counts, second: Counts) -> Counts:
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    longer[: len(shorter)] += shorter
    return longer


def _tally(counts: Counts, grid: ScoreGrid) -> ScoreDistribution:
    """Return the histogram of scores rounded down to the grid; thresholds are exact to one step of it."""
    used = np.flatnonzero(counts)
    return ScoreDistribution.weighted(grid.values(used), counts[used])


def _sample(
    faces: ComparedFaces, strata: list[tuple[ScoreStratum, ...]], generator: np.random.Generator
) -> list[ScoreSample]:
    drawn: list[list[list[Drawn]]] = [[[] for _ in of_kind] for of_kind in strata]
    for block in blocks(faces):
        for kind, of_kind in enumerate(strata):
            for k, stratum in enumerate(of_kind):
                positions = _draw(block, kind, stratum, generator)
                drawn[kind][k].append((block.scores[positions], *block.photos(positions, faces)))
    return [_joined(of_kind, parts, faces.grid) for of_kind, parts in zip(strata, drawn, strict=True)]


def _draw(block: ScoreBlock, kind: int, stratum: ScoreStratum, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw comparisons of one kind. The few genuine ones are selected before the draw, impostors after it."""
    if kind == GENUINE:
        members = block.members(kind)
        return members.take(stratum.positions(block.bins[members], generator))
    positions = stratum.positions(block.bins, generator)
    return positions.compress(block.kinds[positions] == kind)


def _joined(strata: tuple[ScoreStratum, ...], drawn: list[list[Drawn]], grid: ScoreGrid) -> ScoreSample:
    parts = [_with_weights(stratum, of_stratum) for stratum, of_stratum in zip(strata, drawn, strict=True)]
    empty = (np.empty(0), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    scores, *names = (np.concatenate(columns) for columns in zip(empty, *parts, strict=True))
    return ScoreSample.ordered(grid.shortened(scores), *names)


def _with_weights(stratum: ScoreStratum, drawn: list[Drawn]) -> tuple[Floats, Indices, Indices, NDArray[np.float32]]:
    scores, probe, reference = (np.concatenate(columns) for columns in zip(*drawn, strict=True))
    weight = stratum.n / len(scores) if len(scores) else 0.0
    return scores, probe, reference, np.full(len(scores), weight, np.float32)
