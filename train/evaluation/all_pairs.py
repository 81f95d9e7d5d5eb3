"""All against all: every two faces of a data set compared, counted on a grid, and never listed whole.

Memory grows with the faces, not with their square. Two passes over the blocks: the first counts; the second, knowing
how many there are of which score, keeps some by name (`strata` says which).
"""

import numpy as np
from numpy.typing import NDArray

from .blocks import GENUINE, IMPOSTOR, NEITHER, ComparedFaces, ScoreBlock, ScoreGrid, blocks, compared_faces
from .penalties import Penalties
from .protocols.protocol import Indices
from .scores import ComparisonKind, ScoreSample, ScoreSet
from .strata import Counts, ScoreStratum, strata_of
from .tally import Floats, ScoreHistogram

Drawn = tuple[Floats, Indices, Indices]  # scores, probes, references


def compare_all(
    vectors: NDArray[np.float32], identities: Indices, *, seed: int, penalties: Penalties | None = None
) -> ScoreSet:
    """Compare every two of embeddings (n, 128), whose identities are (n,); NaN rows are faces that were not found.

    A score is a distance, with the pair's penalty where there are penalties.
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
    """How many impostor and how many genuine comparisons photos of these identities make: (2,)."""
    n, of_each = len(identities), np.bincount(identities).astype(np.int64)
    genuine = int((of_each * (of_each - 1) // 2).sum())
    return np.array([n * (n - 1) // 2 - genuine, genuine])


def n_pairs_of_people(identities: Indices) -> tuple[int, int]:
    """How many pairs of people, and how many people with two photos or more, are behind those."""
    of_each = np.unique(identities, return_counts=True)[1]
    return len(of_each) * (len(of_each) - 1) // 2, int((of_each > 1).sum())


def _count(faces: ComparedFaces) -> list[Counts]:
    """How many comparisons of each kind fall into each bin."""
    counts = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
    for block in blocks(faces):
        genuine, neither = (np.bincount(block.bins[block.members(kind)]) for kind in (GENUINE, NEITHER))
        impostor = np.bincount(block.bins)  # nearly all are: quicker to count all and take the others off
        for others in (genuine, neither):
            impostor[: len(others)] -= others
        counts = [_sum(counts[IMPOSTOR], impostor), _sum(counts[GENUINE], genuine)]
    return counts


def _sum(first: Counts, second: Counts) -> Counts:
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    longer[: len(shorter)] += shorter
    return longer


def _tally(counts: Counts, grid: ScoreGrid) -> ScoreHistogram:
    """Each score rounded down to the grid, which every rate is then exact to one step of."""
    used = np.flatnonzero(counts)
    return ScoreHistogram.weighted(grid.values(used), counts[used])


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
    """Draw comparisons of one kind: the few genuine ones are picked out first, the many impostor ones last."""
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
