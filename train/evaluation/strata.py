"""Which comparisons of very many are kept by name: all of those that decide error rates, a random part of the rest.

Comparisons are counted on a grid of scores. From the deciding end on, the first million is kept; of every further
stratum, each as large as all before it, a quarter of a million, each standing for as many as it was drawn from.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
