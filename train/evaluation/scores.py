"""The scores of an evaluation: a histogram of all comparisons, and a sample that is kept with its photos.

A score is the plain distance, or the normalised one, which includes the pair's penalty for poor photos.

Comparisons are counted on a grid of scores. The million nearest to the decision is kept. Every further stratum is as
large as all before it; a quarter of a million is sampled from it, with weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, QualityPenalty

from .metrics import Floats, ScoreDistribution
from .protocols.protocol import Indices


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSample:
    """Comparisons with their photos, nearest first: all of them, or a weighted sample."""

    values: Floats  # (k,) scores, ascending
    probe: Indices  # (k,) positions among the photos
    reference: Indices  # (k,)
    weights: NDArray[np.float32]  # (k,)

    @classmethod
    def ordered(cls, values: Floats, probe: Indices, reference: Indices, weights: NDArray[np.float32]) -> Self:
        """Sort comparisons by score, with a stable sort."""
        order = np.argsort(values, kind="stable")
        return cls(values[order], probe[order], reference[order], weights[order])


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonKind:
    """All comparisons of one kind, genuine or impostor."""

    tally: ScoreDistribution  # of all comparisons; an all-against-all rounds scores down to a grid
    sample: ScoreSample
    n_failed: int  # comparisons not made because a photo had no usable face
    n_pairs: int  # pairs of people with comparisons; for genuine ones, people
    n_refused: int = 0  # comparisons not made because a photo was refused for low quality


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSet:
    """Both kinds of comparisons of one model on one set of photos."""

    genuine: ComparisonKind
    impostor: ComparisonKind
    identities: Indices  # (n,) of each photo, counted from 0

    def with_refused(self, n_genuine: int, n_impostor: int, *, of_failed: bool = False) -> Self:
        """Return a copy with numbers of refused comparisons; `of_failed`: they were counted as failed before."""
        kinds = (self.genuine, n_genuine), (self.impostor, n_impostor)
        genuine, impostor = (replace(kind, n_failed=kind.n_failed - of_failed * n, n_refused=n) for kind, n in kinds)
        return replace(self, genuine=genuine, impostor=impostor)


def whole(sample: ScoreSample, identities: Indices, *, n_failed: int = 0) -> ComparisonKind:
    """Build a kind whose histogram follows from its sample."""
    return ComparisonKind(
        ScoreDistribution.weighted(sample.values, sample.weights), sample, n_failed, n_pairs_of(sample, identities)
    )


def n_pairs_of(sample: ScoreSample, identities: Indices) -> int:
    """Return the number of pairs of people with comparisons."""
    people = np.sort(np.stack([identities[sample.probe], identities[sample.reference]]), axis=0)
    return int(np.unique(people, axis=1).shape[1])


N_EXACT = 1_000_000
N_PART = 250_000

Counts = NDArray[np.int64]  # (bins,) comparisons in each


@dataclass(frozen=True, slots=True)
class ScoreStratum:
    """A range of the grid, and the sampling rate of its comparisons."""

    first: int  # bin
    end: int  # the last bin plus 1
    n: int  # comparisons in it
    rate: float  # probability of keeping each; 1 = all

    def positions(self, bins: NDArray[np.int32], generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw a sample of comparisons with bins (k,): ascending positions."""
        if self.rate == 1:
            return np.flatnonzero((bins >= self.first) & (bins < self.end))
        drawn = _thinned(len(bins), self.rate, generator)
        found = bins[drawn]
        return drawn[(found >= self.first) & (found < self.end)]


def strata_of(counts: Counts, *, nearest_first: bool) -> tuple[ScoreStratum, ...]:
    """Divide the grid into strata, starting at its near or at its far end."""
    ordered = counts if nearest_first else counts[::-1]
    edges = list(_edges(np.cumsum(ordered)))
    cuts = [(first, end) if nearest_first else (len(counts) - end, len(counts) - first) for first, end in edges]
    return tuple(_stratum(counts, first, end, N_PART if k else N_EXACT) for k, (first, end) in enumerate(cuts))


def _edges(cumulative: Counts) -> Iterator[tuple[int, int]]:
    """Yield the first bin and the end of each stratum; cumulative counts double from N_EXACT on."""
    start, limit = 0, N_EXACT
    while start < len(cumulative):
        end = max(int(np.searchsorted(cumulative, limit, side="right")), start + 1)
        yield start, end
        start, limit = end, 2 * limit


def _stratum(counts: Counts, first: int, end: int, most: int) -> ScoreStratum:
    n = int(counts[first:end].sum())
    return ScoreStratum(first, end, n, min(1.0, most / n) if n else 1.0)


def _thinned(n: int, rate: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw positions below n with probability `rate` each, by geometric gaps, which needs few random numbers."""
    n_gaps = int(n * rate + 6 * np.sqrt(n * rate) + 10)
    positions = np.cumsum(generator.geometric(rate, n_gaps)) - 1
    while positions[-1] < n:
        positions = np.concatenate([positions, positions[-1] + np.cumsum(generator.geometric(rate, n_gaps))])
    return positions[positions < n]


@dataclass(frozen=True, slots=True, eq=False)
class Penalties:
    """Penalties of n faces. A pair's score is its distance plus, per measure, the smaller penalty of its two faces."""

    of_faces: Floats  # (measures, n) in units of distance; NaN without a face

    @classmethod
    def by(cls, rule: Sequence[QualityPenalty], measures: NDArray[np.float32]) -> Self:
        """Compute the penalties of photos with measures (n, measures), in the order of MEASURES."""
        found = [each.of(measures[:, MEASURES.index(each.measure)]) for each in rule]
        return cls(np.array(found, np.float64).reshape(len(found), len(measures)))

    def of(self, faces: Indices) -> Self:
        """Return the penalties of some of the faces."""
        return type(self)(self.of_faces[:, faces])

    @property
    def most(self) -> float:
        """An upper bound of the penalty of a pair."""
        return float(self.of_faces.max(axis=1, initial=0).sum())

    def scores(self, distances: Floats, first: Indices, second: Indices) -> Floats:
        """Return the scores of distances (k,) between faces (k,) and (k,)."""
        scores: Floats = distances + np.minimum(self.of_faces[:, first], self.of_faces[:, second]).sum(axis=0)
        return scores

    def add_to(self, distances: Floats, rows: slice | Indices, columns: slice | Indices) -> None:
        """Add penalties to a block of distances (rows, columns), in place."""
        for penalties in self.of_faces:
            distances += np.minimum.outer(penalties[rows], penalties[columns])
