"""Which places of a face bring it nearer to another one, and which farther from it.

Parts of the face are covered at random, many times, and how much of a place is seen is correlated with the distance.
Source: Lu, Xu and Ebrahimi, "Towards Visual Saliency Explanations of Face Verification" (CorrRISE), WACV 2024.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..comparison import euclidean
from ..types import Chips, Pixels, Vectors
from .covers import covered, random_shares

N_COVERS = 128  # of each face
SEED = 0  # the same question has the same answer

SaliencyMap = NDArray[np.float32]  # (150, 150): -1..1, the farthest from 0 being 1; positive = nearer when seen


def saliency_map(chip: Pixels, other: NDArray[np.float32], embed: Callable[[Chips], Vectors]) -> SaliencyMap:
    """Of a chip (150, 150, 3) compared with the embedding of another face, (128,)."""
    shares = random_shares(N_COVERS, np.random.default_rng(SEED))
    distances = np.array(euclidean(other, embed(covered(chip, shares))), np.float32)
    return scaled(-_correlations(shares.reshape(N_COVERS, -1), distances).reshape(chip.shape[:2]))


def scaled(values: NDArray[np.floating]) -> SaliencyMap:
    """The same with the value farthest from 0 at 1 or -1; all 0 where nothing has an influence."""
    farthest = float(np.abs(values).max())
    return (values / farthest if farthest else np.zeros_like(values)).astype(np.float32)


def _correlations(columns: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each of m columns (n, m) with values (n,): (m,); 0 where one of them is always the same."""
    centred, deviations = columns - columns.mean(axis=0), values - values.mean()
    sizes = np.linalg.norm(centred, axis=0) * np.linalg.norm(deviations)
    found: NDArray[np.float32] = np.divide(deviations @ centred, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return found
