"""Which figures are read off genuine and impostor comparisons, once and for every bootstrap resample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol as Shape

import numpy as np

from embedder import LogLikelihoodRatio

from . import metrics
from .bootstrap import CONFIDENCE, Resampling, bootstrap, interval
from .evidence import mean_cost
from .metrics import Floats, ScoreHistogram
from .record import Estimate
from .scores import ScoreSet

MIN_PAIRS = 10  # of people; an interval from redrawing fewer would say little and look sure


class Statistic(Shape):
    """One or several numbers read off the comparisons of both kinds."""

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
        """Read them: (s,), NaN where there is none."""


@dataclass(frozen=True, slots=True)
class FmrAt:
    """FMR at given thresholds."""

    thresholds: tuple[float, ...]

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:  # noqa: ARG002 - as every figure
        """Read them: (t,)."""
        return impostor.share_below(self.thresholds)


@dataclass(frozen=True, slots=True)
class FnmrAt:
    """FNMR at given thresholds."""

    thresholds: tuple[float, ...]

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:  # noqa: ARG002 - as every figure
        """Read them: (t,)."""
        return 1 - genuine.share_below(self.thresholds)


@dataclass(frozen=True, slots=True)
class AccuracyAt:
    """Share of right decisions at one threshold."""

    threshold: float

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
        """Read it: (1,)."""
        return np.array([metrics.accuracy(genuine, impostor, self.threshold)])


@dataclass(frozen=True, slots=True)
class TarAt:
    """1 - FNMR at the loosest thresholds whose FMR is at most given ones."""

    fmrs: tuple[float, ...]

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
        """Read them: (f,)."""
        return genuine.share_below(impostor.loosest(self.fmrs))


@dataclass(frozen=True, slots=True)
class Cllr:
    """Cost of the log-likelihood ratios, on a grid that is fine enough for its interval."""

    ratio: LogLikelihoodRatio

    def __call__(self, genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
        """Read it: (1,), in bits."""
        return np.array([(mean_cost(genuine, self.ratio, -1) + mean_cost(impostor, self.ratio, 1)) / 2])


def eer(genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
    """Read the equal error rate: (1,)."""
    return np.array([metrics.eer(genuine, impostor)])


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Figures of all comparisons, and of every resample."""

    values: Floats  # (s,)
    draws: Floats  # (n_resamples, s)

    def estimate(self, k: int = 0, *, is_stated: bool = True) -> Estimate:
        """Return one of them with its interval, or nothing where there is too little to state it."""
        value = float(self.values[k])
        if not is_stated or np.isnan(value):
            return Estimate(None, None)
        return Estimate(value, interval(self.draws[:, k]))

    def rate(self, k: int, n_pairs: int) -> Estimate:
        """Return a share of comparisons that are between so many pairs of people, with its interval.

        Where none or all of them did, no resample differs; then each pair of people counts as one trial.
        """
        found = self.estimate(k)
        if found.value == 0:
            return Estimate(0.0, (0.0, _bound(n_pairs)))
        if found.value == 1:
            return Estimate(1.0, (1 - _bound(n_pairs), 1.0))
        return found if n_pairs >= MIN_PAIRS else Estimate(found.value, None)


def _bound(n: int) -> float:
    """Upper end of the exact binomial 95% interval of none in n (Clopper and Pearson, 1934)."""
    return 1 - float(((1 - CONFIDENCE) / 2) ** (1 / n))


def measure(scores: ScoreSet, figures: Mapping[str, Statistic], resampling: Resampling) -> dict[str, Measurement]:
    """Read figures off all comparisons and off resamples of their identities, all from the same draws."""

    def together(genuine: ScoreHistogram, impostor: ScoreHistogram) -> Floats:
        return np.concatenate([figure(genuine, impostor) for figure in figures.values()])

    values = {name: figure(scores.genuine.tally, scores.impostor.tally) for name, figure in figures.items()}
    cuts = np.cumsum([len(value) for value in values.values()])[:-1]
    draws = np.split(bootstrap(scores, together, resampling), cuts, axis=1)
    return {name: Measurement(values[name], drawn) for name, drawn in zip(values, draws, strict=True)}
