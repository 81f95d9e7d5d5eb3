"""A ridge regression from an embedding to the mean and the spread of the distances to its nearest strangers.

Only its coefficients go into a bundle: 8,385 numbers for each of the two, averages over thousands of faces, from which
no single one can be had back.
"""

import numpy as np
from numpy.typing import NDArray

from embedder import features

REGULARIZATION = 1.0  # on people not fitted on, weaker ones gain up to 0.4 points at FMR 1e-4 and lose 0.1 of EER
BLOCK = 2048  # faces at a time: their features fill 137 MiB

Floats = NDArray[np.float64]
Coefficients = dict[str, NDArray[np.float32]]


def fit(vectors: NDArray[np.float32], means: Floats, spreads: Floats) -> Coefficients:
    """Fit the means and the logarithms of the spreads (n,) of faces (n, 128): `mean` and `log_spread`, (8385,) each.

    The first feature, the constant, is not held back.
    """
    targets = np.stack([means, np.log(spreads)], axis=1)
    products, moments = _sums(vectors, targets)
    products[np.diag_indices_from(products)] += REGULARIZATION
    products[0, 0] -= REGULARIZATION
    found = np.linalg.solve(products, moments)
    return {name: found[:, k].astype(np.float32) for k, name in enumerate(("mean", "log_spread"))}


def predict(vectors: NDArray[np.float32], coefficients: Coefficients) -> tuple[Floats, Floats]:
    """Predict means and spreads of faces (n, 128), not held in any range: (n,) each."""
    found = [
        features(vectors[start : start + BLOCK]) @ np.stack(list(coefficients.values()), axis=1).astype(np.float64)
        for start in range(0, len(vectors), BLOCK)
    ]
    means, log_spreads = np.concatenate([np.empty((0, 2)), *found]).T
    return means, np.exp(log_spreads)


def r_squared(predicted: Floats, true: Floats) -> float:
    """Which share of the variance of true values (n,) is predicted."""
    return 1 - float(((predicted - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def _sums(vectors: NDArray[np.float32], targets: Floats) -> tuple[Floats, Floats]:
    """Sum the features' products with each other and with the targets: (f, f), (f, 2)."""
    first = features(vectors[:BLOCK])
    products, moments = first.T @ first, first.T @ targets[:BLOCK]
    for start in range(BLOCK, len(vectors), BLOCK):
        block = features(vectors[start : start + BLOCK])
        products += block.T @ block
        moments += block.T @ targets[start : start + BLOCK]
    return products, moments
