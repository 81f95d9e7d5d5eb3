"""How far a face's nearest strangers are: the cohort statistics that the regression learns to predict."""

import numpy as np
from numpy.typing import NDArray

from ..evaluation.protocols.protocol import Indices

N_NEAREST = 50
BLOCK = 1024  # faces at a time: their distances to a cohort of 2,000 fill 16 MiB

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]


def neighbours(
    vectors: Vectors,
    identities: Indices,
    cohort_vectors: Vectors,
    cohort_identities: Indices,
    n_nearest: int = N_NEAREST,
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the distances of faces (n, 128) to their nearest strangers in a cohort (c, 128).

    Nobody is their own stranger: the cohort's photos of a face's own identity take no part. (n,) each.
    """
    cohort = cohort_vectors.astype(np.float64)
    nearest = [
        _nearest(
            _distances(vectors[start : start + BLOCK].astype(np.float64), cohort),
            identities[start : start + BLOCK, None] == cohort_identities,
            n_nearest,
        )
        for start in range(0, len(vectors), BLOCK)
    ]
    distances = np.concatenate([np.empty((0, n_nearest)), *nearest])
    return distances.mean(axis=1), distances.std(axis=1)


def _distances(vectors: Floats, cohort: Floats) -> Floats:
    squares = (vectors**2).sum(axis=1)[:, None] + (cohort**2).sum(axis=1) - 2 * vectors @ cohort.T
    distances: Floats = np.sqrt(np.maximum(squares, 0))
    return distances


def _nearest(distances: Floats, is_own: NDArray[np.bool_], n_nearest: int) -> Floats:
    """Return the smallest distances to strangers, in no order: (n, n_nearest)."""
    strangers = np.where(is_own, np.inf, distances)
    return np.partition(strangers, n_nearest - 1, axis=1)[:, :n_nearest]
