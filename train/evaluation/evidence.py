"""Calibration of probabilities: Cllr, expected calibration error and the reliability diagram.

Genuine and impostor comparisons have equal total weight, as with a prior of one half.
"""

from dataclasses import dataclass

import numpy as np

from embedder import LogLikelihoodRatio

from .metrics import Floats, ScoreDistribution

N_COSTS = 2000  # steps of the grid in `mean_cost`


N_BINS = 15  # of probability, equally wide: Guo et al., "On Calibration of Modern Neural Networks", 2017


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Stated probability against observed frequency, by bin; empty bins are left out."""

    stated: Floats  # (b,) mean stated probability of one person
    observed: Floats  # (b,) share of genuine comparisons
    share: Floats  # (b,) of all comparisons; they sum to 1

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap between stated and observed, 0 to 1."""
        return float((self.share * np.abs(self.stated - self.observed)).sum())


def cllr(genuine: ScoreDistribution, impostor: ScoreDistribution, ratio: LogLikelihoodRatio) -> float:
    """Return the cost of the log-likelihood ratios, in bits: 0 is perfect, 1 is uninformative.

    Brummer and du Preez, "Application-independent evaluation of speaker detection", 2006.
    """
    kinds = ((genuine, -1), (impostor, 1))
    return sum(float(_counts(tally) @ _costs(tally.values, ratio, sign)) / tally.n for tally, sign in kinds) / 2


def mean_cost(tally: ScoreDistribution, ratio: LogLikelihoodRatio, sign: int) -> float:
    """Return one kind's mean cost from counts on a grid over the ratio's range; accurate enough for intervals."""
    edges = np.linspace(ratio.nearest, ratio.farthest, N_COSTS + 1)
    places = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
    counts = np.diff(np.concatenate([[0.0], tally.below(edges), [tally.n]]))
    return float(counts @ _costs(places, ratio, sign)) / tally.n if tally.n else float("nan")


def reliability(
    genuine: ScoreDistribution, impostor: ScoreDistribution, ratio: LogLikelihoodRatio, n_bins: int = N_BINS
) -> Reliability:
    """Compute the reliability diagram of the probabilities at a prior of one half."""
    kinds = [(_probabilities(tally, ratio), _counts(tally) / (2 * tally.n)) for tally in (genuine, impostor)]
    stated, shares = (np.concatenate(parts) for parts in zip(*kinds, strict=True))
    is_genuine = np.arange(len(stated)) < len(genuine.values)
    bins = np.minimum((stated * n_bins).astype(int), n_bins - 1)
    share = np.bincount(bins, shares, n_bins).astype(np.float64)
    of_genuine, of_stated = (np.bincount(bins, shares * each, n_bins) for each in (is_genuine, stated))
    used = share > 0
    return Reliability(of_stated[used] / share[used], of_genuine[used] / share[used], share[used])


def _counts(tally: ScoreDistribution) -> Floats:
    return np.diff(tally.cumulative)


def _costs(scores: Floats, ratio: LogLikelihoodRatio, sign: int) -> Floats:
    """Return the costs in bits, of genuine comparisons (sign -1) or impostor ones (sign 1)."""
    costs: Floats = np.logaddexp(0, sign * ratio.of_each(scores)) / np.log(2)
    return costs


def _probabilities(tally: ScoreDistribution, ratio: LogLikelihoodRatio) -> Floats:
    return 1 / (1 + np.exp(-ratio.of_each(tally.values)))
