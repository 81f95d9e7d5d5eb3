"""The figures of an evaluation, computed on all comparisons and on every bootstrap resample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol as Shape

import numpy as np

from embedder import LogLikelihoodRatio

from . import metrics
from .bootstrap import CONFIDENCE, Resampling, bootstrap, interval
from .evidence import mean_cost
from .metrics import Floats, ScoreDistribution
from .results import Estimate
from .scores import ScoreSet

MIN_PAIRS = 10  # of people; with fewer, a bootstrap interval would be misleadingly narrow


class Statistic(Shape):
    """One or several figures of genuine and impostor comparisons."""

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        """Compute the figures: (s,), NaN if undefined."""


@dataclass(frozen=True, slots=True)
class FmrAt:
    """FMR at given thresholds."""

    thresholds: tuple[float, ...]

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:  # noqa: ARG002 - as every figure
        """Compute the rates: (t,)."""
        return impostor.share_below(self.thresholds)


@dataclass(frozen=True, slots=True)
class FnmrAt:
    """FNMR at given thresholds."""

    thresholds: tuple[float, ...]

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:  # noqa: ARG002 - as every figure
        """Compute the rates: (t,)."""
        return 1 - genuine.share_below(self.thresholds)


@dataclass(frozen=True, slots=True)
class AccuracyAt:
    """Share of correct decisions at one threshold."""

    threshold: float

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        """Compute the accuracy: (1,)."""
        return np.array([metrics.accuracy(genuine, impostor, self.threshold)])


@dataclass(frozen=True, slots=True)
class TarAt:
    """1 - FNMR at the loosest thresholds whose FMR is at most each of `fmrs`."""

    fmrs: tuple[float, ...]

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        """Compute TAR: (f,)."""
        return genuine.share_below(impostor.loosest(self.fmrs))


@dataclass(frozen=True, slots=True)
class Cllr:
    """Cost of the log-likelihood ratios, on a grid fine enough for its interval."""

    ratio: LogLikelihoodRatio

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        """Compute Cllr: (1,), in bits."""
        return np.array([(mean_cost(genuine, self.ratio, -1) + mean_cost(impostor, self.ratio, 1)) / 2])


def eer(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
    """Compute the equal error rate: (1,)."""
    return np.array([metrics.eer(genuine, impostor)])


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Figures of all comparisons and of every resample."""

    values: Floats  # (s,)
    draws: Floats  # (n_resamples, s)

    def estimate(self, k: int = 0, *, is_stated: bool = True) -> Estimate:
        """Return one figure with its interval; None if it is undefined or must not be stated."""
        value = float(self.values[k])
        if not is_stated or np.isnan(value):
            return Estimate(None, None)
        return Estimate(value, interval(self.draws[:, k]))

    def rate(self, k: int, n_pairs: int) -> Estimate:
        """Return a share of comparisons between `n_pairs` pairs of people, with its interval.

        For a share of 0 or 1 all resamples are equal, so the interval is binomial, with one trial per pair of people.
        """
        found = self.estimate(k)
        if found.value == 0:
            return Estimate(0.0, (0.0, _bound(n_pairs)))
        if found.value == 1:
            return Estimate(1.0, (1 - _bound(n_pairs), 1.0))
        return found if n_pairs >= MIN_PAIRS else Estimate(found.value, None)


def difference_of(first: Measurement, second: Measurement, k: int, n_pairs: int) -> Estimate:
    """Return a figure of the first minus that of the second, on the same resamples of `n_pairs` pairs of people.

    There is no interval for few pairs, nor if both figures are 0 or both 1: then all resamples are equal, although the
    figures may differ on other people.
    """
    one, other = float(first.values[k]), float(second.values[k])
    is_stated = n_pairs >= MIN_PAIRS and not one == other in {0, 1}
    return Estimate(one - other, interval(first.draws[:, k] - second.draws[:, k]) if is_stated else None)


def _bound(n: int) -> float:
    """Return the upper end of the exact binomial 95% interval of 0 in n (Clopper and Pearson, 1934)."""
    return 1 - float(((1 - CONFIDENCE) / 2) ** (1 / n))


def measure(scores: ScoreSet, figures: Mapping[str, Statistic], resampling: Resampling) -> dict[str, Measurement]:
    """Compute figures on all comparisons and on resamples of their identities, all with the same draws."""

    def together(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        return np.concatenate([figure(genuine, impostor) for figure in figures.values()])

    values = {name: figure(scores.genuine.tally, scores.impostor.tally) for name, figure in figures.items()}
    cuts = np.cumsum([len(value) for value in values.values()])[:-1]
    draws = np.split(bootstrap(scores, together, resampling), cuts, axis=1)
    return {name: Measurement(values[name], drawn) for name, drawn in zip(values, draws, strict=True)}
