"""Confidence intervals by bootstrap over identities, because comparisons that share people are not independent.

Each resample draws as many identities as there are, with replacement. The weight of a genuine comparison is the number
of times that its identity was drawn, that of an impostor comparison the product of both numbers; so an identity that is
drawn twice has no impostor comparison with itself. See Bolle et al., "Error analysis of pattern recognition systems:
the subsets bootstrap", 2004.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import n_cores

from .metrics import Floats, ScoreDistribution
from .protocols.protocol import Indices
from .scores import ScoreSample, ScoreSet

CONFIDENCE = 0.95
MAX_THREADS = 8  # each holds the weights of all sampled comparisons

Statistics = Callable[
    [ScoreDistribution, ScoreDistribution], Floats
]  # genuine, impostor -> (s,) figures, NaN if undefined


@dataclass(frozen=True, slots=True)
class Resampling:
    """The number of resamples and their seed; the same seed draws the same identities."""

    n_resamples: int = 1000
    seed: int = 0


def bootstrap(scores: ScoreSet, statistics: Statistics, resampling: Resampling) -> Floats:
    """Compute figures on every resample of the identities, in parallel: (n_resamples, s)."""
    kinds = (
        _people(scores.genuine.sample, scores.identities, is_genuine=True),
        _people(scores.impostor.sample, scores.identities, is_genuine=False),
    )
    n_identities = int(scores.identities.max(initial=-1)) + 1

    def once(seed: np.random.SeedSequence) -> Floats:
        drawn = np.bincount(
            np.random.default_rng(seed).integers(n_identities, size=n_identities), minlength=n_identities
        )
        return statistics(*(each.drawn(drawn.astype(np.float64)) for each in kinds))

    seeds = np.random.SeedSequence(resampling.seed).spawn(resampling.n_resamples)
    with ThreadPoolExecutor(min(n_cores(), MAX_THREADS)) as pool:
        return np.stack(list(pool.map(once, seeds)))


def interval(draws: Floats, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the percentile interval of one figure's resamples (n,); None if half of them or more are undefined."""
    known = draws[~np.isnan(draws)]
    if len(known) <= len(draws) / 2:
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """Scores of comparisons between identities."""

    values: Floats  # (k,) ascending
    weights: NDArray[np.float32]  # (k,)
    first: Indices  # (k,) identities
    second: Indices | None  # (k,); None for genuine comparisons, where it equals `first`

    def drawn(self, times: Floats) -> ScoreDistribution:
        """Count the comparisons if each identity was drawn `times` times: (n_identities,)."""
        weights = times[self.first] * self.weights
        if self.second is not None:
            weights *= times[self.second]
        return ScoreDistribution.weighted(self.values, weights)


def _people(sample: ScoreSample, identities: Indices, *, is_genuine: bool) -> _People:
    second = None if is_genuine else identities[sample.reference]
    return _People(sample.values, sample.weights, identities[sample.probe], second)
