"""Confidence intervals by bootstrap over identities: comparisons share people, so people are drawn, not comparisons.

Each resample draws as many identities as there are, with replacement. A genuine comparison counts as often as its
identity was drawn, an impostor comparison as often as the one times as often as the other; so an identity that is drawn
twice makes no impostor comparison with itself. Bolle et al., "Error analysis of pattern recognition systems: the
subsets bootstrap", 2004, draw people for the same reason.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import n_cores

from .metrics import Floats, ScoreHistogram
from .protocols.protocol import Indices
from .scores import ScoreSample, ScoreSet

CONFIDENCE = 0.95
MAX_THREADS = 8  # each holds the weights of all comparisons kept by name

Statistics = Callable[
    [ScoreHistogram, ScoreHistogram], Floats
]  # genuine, impostor -> (s,) figures, NaN where there is none


@dataclass(frozen=True, slots=True)
class Resampling:
    """How often, and from which seed: the same seed draws the same identities."""

    n_resamples: int = 1000
    seed: int = 0


def bootstrap(scores: ScoreSet, statistics: Statistics, resampling: Resampling) -> Floats:
    """Compute figures on every resample of the identities: (n_resamples, s). Work is spread over the cores."""
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
    """Return the percentile interval of one figure's resamples (n,); None where most of them have none."""
    known = draws[~np.isnan(draws)]
    if len(known) <= len(draws) / 2:
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class _People:
    """Comparisons, as scores between identities."""

    values: Floats  # (k,) ascending
    weights: NDArray[np.float32]  # (k,)
    first: Indices  # (k,) identities
    second: Indices | None  # (k,); None where it is the first one again: a genuine comparison

    def drawn(self, times: Floats) -> ScoreHistogram:
        """Count them when each identity was drawn so many times (n_identities,)."""
        weights = times[self.first] * self.weights
        if self.second is not None:
            weights *= times[self.second]
        return ScoreHistogram.weighted(self.values, weights)


def _people(sample: ScoreSample, identities: Indices, *, is_genuine: bool) -> _People:
    second = None if is_genuine else identities[sample.reference]
    return _People(sample.values, sample.weights, identities[sample.probe], second)
