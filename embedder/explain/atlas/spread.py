"""How the channels spread: independent of each other or not, and how much of it tells people apart."""

import numpy as np
from numpy.typing import NDArray

from .correlations import Floats


def effective_dimension(channels: Floats) -> float:
    """How many equally strong, independent channels spread like these (n, c): the participation ratio, 1 to c."""
    strengths = np.linalg.eigvalsh(np.cov(channels.T))
    return float(strengths.sum() ** 2 / (strengths**2).sum())


def between_over_within(channels: Floats, people: NDArray[np.intp]) -> Floats:
    """Each channel's variance between people over that within a person, (c,); NaN where nobody has two faces.

    Components of a one-way analysis of variance with groups of unequal size; one below 0 by chance is 0.
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
