"""Which places of a face bring it nearer to another one, and which farther from it.

Parts of the face are covered at random, many times, and the change of the distance is put down to what was hidden.
Source: Lu, Xu and Ebrahimi, "Towards Visual Saliency Explanations of Face Verification" (CorrRISE), WACV 2024; there by
correlation, place by place. A ridge regression over all places tells neighbours better apart: docs/seeing.md.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..comparison import euclidean
from ..types import Chips, Pixels, Vectors
from .covers import occlude, random_shares
from .places import means_of_places

N_COVERS = 80  # of each face
_N_PLACES = 15  # along each side: the squares that an influence is found for
SEED = 0  # the same question has the same answer

SaliencyMap = NDArray[np.float32]  # (side, side): -1..1, the farthest from 0 being 1; positive = nearer when seen


def saliency_map(chip: Pixels, other: NDArray[np.float32], embed: Callable[[Chips], Vectors]) -> SaliencyMap:
    """Of a chip (side, side, 3) compared with the embedding of another face, (128,).

    `embed` need not take the mean over mirror images where the model's embeddings are such means: maps are as good
    without, in half the time (benchmarks/saliency.py).
    """
    shares = random_shares(N_COVERS, len(chip), np.random.default_rng(SEED))
    whole, *partly = euclidean(other, embed(np.concatenate([chip[None], occlude(chip, shares)])))
    hidden = 1 - means_of_places(shares, _N_PLACES)
    losses = _weights(hidden.reshape(N_COVERS, -1), np.array(partly) - whole).reshape(_N_PLACES, _N_PLACES)
    return scaled(np.asarray(Image.fromarray(losses).resize(chip.shape[:2], Image.Resampling.BICUBIC)))


def scaled(values: NDArray[np.floating]) -> SaliencyMap:
    """The same with the value farthest from 0 at 1 or -1; all 0 where nothing has an influence."""
    farthest = float(np.abs(values).max())
    return (values / farthest if farthest else np.zeros_like(values)).astype(np.float32)


def _weights(columns: NDArray[np.float32], values: NDArray[np.floating]) -> NDArray[np.float32]:
    """The ridge regression of values (n,) on columns (n, m), m more than n: (m,).

    It has no constant, for a face of which nothing is hidden is where all changes are counted from.
    """
    products = columns @ columns.T  # (n, n)
    ridge = np.eye(len(values)) * np.trace(products) / len(values)
    found: NDArray[np.float32] = (columns.T @ np.linalg.solve(products + ridge, values)).astype(np.float32)
    return found
