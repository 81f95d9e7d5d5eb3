"""Correlations of channels with traits (Pearson's r with simultaneous intervals), and the variance of channels.

The bootstrap resamples people, not photos, because photos of one person are correlated. The intervals use the standard
deviation of Fisher's z over the resamples, with Bonferroni's correction for the number of comparisons.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

N_DRAWS = 1000
CONFIDENCE = 0.95  # of all intervals of an atlas at once

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Correlations:
    """The correlation of each channel with each trait."""

    r: Floats  # (channels, traits); NaN, also in the interval, if a trait is constant or known for too few people
    low: Floats
    high: Floats

    @property
    def is_sure(self) -> NDArray[np.bool_]:
        """Whether the interval excludes 0."""
        return (self.low > 0) | (self.high < 0)


def correlations(
    channels: Floats, traits: Floats, people: NDArray[np.intp], generator: np.random.Generator
) -> Correlations:
    """Correlate channels (n, c) with traits (n, t) of n faces; `people` (n,) are the identities. NaN = missing."""
    _, place = np.unique(people, return_inverse=True)
    n_people = int(place.max()) + 1
    weights = generator.multinomial(n_people, np.full(n_people, 1 / n_people), N_DRAWS).astype(np.float64)
    found = [_with_trait(channels, trait, place, weights) for trait in traits.T]
    r, spread = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    reach = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / r.size) * spread
    r = np.where(np.isnan(reach), np.nan, r)  # if the trait is constant in some resample, too few people have it
    z = np.arctanh(r)
    return Correlations(r, np.tanh(z - reach), np.tanh(z + reach))


def _with_trait(channels: Floats, trait: Floats, place: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats]:
    """Correlate all channels with one trait: r (c,), and the standard error of Fisher's z (c,)."""
    known = ~np.isnan(trait)
    if not known.any():
        return np.full(channels.shape[1], np.nan), np.full(channels.shape[1], np.nan)
    x, y = channels[known] - channels[known].mean(axis=0), trait[known] - trait[known].mean()
    parts = np.concatenate([np.ones((len(y), 1)), y[:, None], y[:, None] ** 2, x, x**2, x * y[:, None]], axis=1)
    sums = np.zeros((weights.shape[1], parts.shape[1]))
    np.add.at(sums, place[known], parts)  # per person, (people, 3 + 3 c)
    drawn = np.arctanh(_r(weights @ sums).clip(-1 + 1e-12, 1 - 1e-12))
    return _r(sums.sum(axis=0, keepdims=True))[0], drawn.std(axis=0)


def _r(sums: Floats) -> Floats:
    """Pearson's r from sums (draws, 3 + 3 c) over faces: (draws, c)."""
    n, y, yy = sums[:, :1], sums[:, 1:2], sums[:, 2:3]
    x, xx, xy = np.split(sums[:, 3:], 3, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n * xy - x * y) / np.sqrt((n * xx - x**2) * (n * yy - y**2)))


def effective_dimension(channels: Floats) -> float:
    """The participation ratio of channels (n, c), 1 to c: the equivalent number of independent channels."""
    strengths = np.linalg.eigvalsh(np.cov(channels.T))
    return float(strengths.sum() ** 2 / (strengths**2).sum())


def between_over_within(channels: Floats, people: NDArray[np.intp]) -> Floats:
    """Each channel's variance between people over the variance within a person, (c,); NaN if nobody has two faces.

    Variance components of a one-way analysis of variance with unequal group sizes; negative estimates are set to 0.
    """
    _, place, sizes = np.unique(people, return_inverse=True, return_counts=True)
    n, n_people = len(people), len(sizes)
    if n == n_people:
        return np.full(channels.shape[1], np.nan)
    sums = np.zeros((n_people, channels.shape[1]))
    np.add.at(sums, place, channels)
    means = sums / sizes[:, None]
    within = ((channels - means[place]) ** 2).sum(axis=0) / (n - n_people)
    between = (sizes[:, None] * (means - channels.mean(axis=0)) ** 2).sum(axis=0) / (n_people - 1)
    usual_size = (n - (sizes**2).sum() / n) / (n_people - 1)
    return np.asarray(np.maximum(between - within, 0) / usual_size / within)
