"""The scores of an evaluation: how many there were of which size, and which of very many are kept by name.

A score is the plain distance, or the normalised one: with the pair's penalty for poor photos.

Comparisons are counted on a grid of scores. From the deciding end on, the first million is kept; of every further
stratum, each as large as all before it, a quarter of a million, each standing for as many as it was drawn from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .metrics import Floats, ScoreHistogram
from .protocols.protocol import Indices


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSample:
    """Comparisons by name, nearest first: all of them, or a part in which each stands for `weights` of its like."""

    values: Floats  # (k,) scores, ascending
    probe: Indices  # (k,) positions among the photos
    reference: Indices  # (k,)
    weights: NDArray[np.float32]  # (k,)

    @classmethod
    def ordered(cls, values: Floats, probe: Indices, reference: Indices, weights: NDArray[np.float32]) -> Self:
        """Put comparisons in order of score; equal ones stay as they come."""
        order = np.argsort(values, kind="stable")
        return cls(values[order], probe[order], reference[order], weights[order])


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonKind:
    """All comparisons of one kind, genuine or impostor."""

    tally: ScoreHistogram  # of every comparison; an all-against-all rounds scores down to a grid
    sample: ScoreSample
    n_failed: int  # comparisons that could not be made: a photo had no usable face
    n_pairs: int  # of people that the comparisons are between; genuine: people, each with themselves
    n_refused: int = 0  # comparisons not made because a photo was refused for low quality


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSet:
    """Both kinds of comparisons of one model on one set of photos."""

    genuine: ComparisonKind
    impostor: ComparisonKind
    identities: Indices  # (n,) of each photo, counted from 0

    def with_refused(self, n_genuine: int, n_impostor: int, *, of_failed: bool = False) -> Self:
        """Return the same with so many comparisons refused; `of_failed`: they were counted as failed so far."""
        kinds = (self.genuine, n_genuine), (self.impostor, n_impostor)
        genuine, impostor = (replace(kind, n_failed=kind.n_failed - of_failed * n, n_refused=n) for kind, n in kinds)
        return replace(self, genuine=genuine, impostor=impostor)


def whole(sample: ScoreSample, identities: Indices, *, n_failed: int = 0) -> ComparisonKind:
    """Comparisons all of which are known by name, or their weights with them."""
    return ComparisonKind(
        ScoreHistogram.weighted(sample.values, sample.weights), sample, n_failed, n_pairs_of(sample, identities)
    )


def n_pairs_of(sample: ScoreSample, identities: Indices) -> int:
    """How many pairs of people comparisons are between."""
    people = np.sort(np.stack([identities[sample.probe], identities[sample.reference]]), axis=0)
    return int(np.unique(people, axis=1).shape[1])


N_EXACT = 1_000_000
N_PART = 250_000

Counts = NDArray[np.int64]  # (bins,) comparisons in each


@dataclass(frozen=True, slots=True)
class ScoreStratum:
    """A stretch of the grid, and which share of its comparisons is kept."""

    first: int  # bin
    end: int  # bin behind the last one
    n: int  # comparisons in it
    rate: float  # probability of each to be kept; 1 = all

    def positions(self, bins: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw from comparisons whose bins are (k,): the positions of those kept, ascending."""
        if self.rate == 1:
            return np.flatnonzero((bins >= self.first) & (bins < self.end))
        drawn = _thinned(len(bins), self.rate, generator)
        found = bins[drawn]
        return drawn[(found >= self.first) & (found < self.end)]


def strata_of(counts: Counts, *, nearest_first: bool) -> tuple[ScoreStratum, ...]:
    """Cut the grid into strata, from its near end or from its far end on."""
    ordered = counts if nearest_first else counts[::-1]
    edges = list(_edges(np.cumsum(ordered)))
    cuts = [(first, end) if nearest_first else (len(counts) - end, len(counts) - first) for first, end in edges]
    return tuple(_stratum(counts, first, end, N_PART if k else N_EXACT) for k, (first, end) in enumerate(cuts))


def _edges(cumulative: Counts) -> Iterator[tuple[int, int]]:
    """Bins from ... to, each stratum holding what lies between one doubling of N_EXACT and the next."""
    start, limit = 0, N_EXACT
    while start < len(cumulative):
        end = max(int(np.searchsorted(cumulative, limit, side="right")), start + 1)
        yield start, end
        start, limit = end, 2 * limit


def _stratum(counts: Counts, first: int, end: int, most: int) -> ScoreStratum:
    n = int(counts[first:end].sum())
    return ScoreStratum(first, end, n, min(1.0, most / n) if n else 1.0)


def _thinned(n: int, rate: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions below n, each there with probability `rate`: by the gaps between them, so few numbers are drawn."""
    n_gaps = int(n * rate + 6 * np.sqrt(n * rate) + 10)
    positions = np.cumsum(generator.geometric(rate, n_gaps)) - 1
    while positions[-1] < n:
        positions = np.concatenate([positions, positions[-1] + np.cumsum(generator.geometric(rate, n_gaps))])
    return positions[positions < n]
