"""The scores of an evaluation: how many there were of which size, and which photos they were between.

A score is the plain distance, or the normalised one: with the pair's penalty for poor photos.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .protocols.protocol import Indices
from .tally import Floats, ScoreHistogram


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
