"""Where a face stands among strangers: how far its nearest ones are, predicted from its embedding alone.

Source: adaptive symmetric score normalisation, as in speaker recognition, with a regression in the cohort's place:
no stranger's face is needed once it is fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .types import EMBEDDING_SIZE

FIRST, SECOND = np.triu_indices(EMBEDDING_SIZE)  # channels whose products are features

Floats = NDArray[np.float64]
Range = tuple[float, float]  # lowest, highest


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """What normalises the distances of n faces."""

    means: Floats  # (n,) of the distances to the nearest strangers
    spreads: Floats  # (n,) their standard deviation
    penalties: Floats  # (n,) for the photo's quality; 0 = a good one

    @property
    def slopes(self) -> Floats:
        """(n,): score = distance * mean of both slopes + mean of both offsets."""
        return 1 / self.spreads

    @property
    def offsets(self) -> Floats:
        """(n,): see slopes."""
        return self.penalties - self.means / self.spreads


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhoods:
    """The regression: the mean and the logarithm of the spread are quadratic in the embedding."""

    constants: Floats  # (2,)
    linear: Floats  # (2, 128)
    quadratic: Floats  # (256, 128): one square matrix under the other
    mean_range: Range  # predictions are held inside: no embedding leads beyond what was fitted
    spread_range: Range

    @classmethod
    def of(cls, mean_range: Range, spread_range: Range, tensors: Mapping[str, NDArray[np.float32]]) -> Self:
        """Unpack the coefficients of the features, `mean` and `log_spread`; see `features` for their order."""
        rows = [tensors[name].astype(np.float64) for name in ("mean", "log_spread")]
        products = np.zeros((2, EMBEDDING_SIZE, EMBEDDING_SIZE))
        for k, row in enumerate(rows):
            products[k][FIRST, SECOND] = row[1 + EMBEDDING_SIZE :]
        return cls(
            np.array([row[0] for row in rows]),
            np.stack([row[1 : 1 + EMBEDDING_SIZE] for row in rows]),
            products.reshape(-1, EMBEDDING_SIZE),
            mean_range,
            spread_range,
        )

    def __call__(self, vectors: NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Predict mean and spread of embeddings (n, 128): (n,) each; NaN stays NaN.

        Face by face: a matrix product of many would round differently from that of one, and the answer would depend on
        who else was asked about.
        """
        found = [(np.nan, np.nan) if np.isnan(vector[0]) else self.of_one(vector) for vector in vectors]
        means, spreads = np.array(found, np.float64).reshape(-1, 2).T
        return means, spreads

    def of_one(self, vector: NDArray[np.float32]) -> tuple[float, float]:
        """Predict mean and spread of one embedding (128,)."""
        channels = vector.astype(np.float64)
        # Not by @: for that BLAS wakes its other threads, which then keep a core from the next photo for a while.
        products: Floats = (self.quadratic * channels).sum(axis=1).reshape(2, -1)
        products += self.linear
        mean, log_spread = (products @ channels + self.constants).tolist()
        low, high = self.spread_range
        return _held(mean, self.mean_range), exp(_held(log_spread, (log(low), log(high))))


def _held(value: float, within: Range) -> float:
    return max(within[0], min(within[1], value))


def features(vectors: NDArray[np.floating]) -> Floats:
    """1, the channels, and their products in the order of FIRST and SECOND: (n, 128) to (n, 8385)."""
    channels = vectors.astype(np.float64)
    return np.concatenate([np.ones((len(channels), 1)), channels, channels[:, FIRST] * channels[:, SECOND]], axis=1)
