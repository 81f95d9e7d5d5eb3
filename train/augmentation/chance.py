"""Which faces of a batch a change meets, and by how much: always as many draws as there are faces."""

import numpy as np
from numpy.random import Generator

from ..evaluation.protocols.protocol import Indices
from ..evaluation.tally import Floats


def met(n: int, probability: float, generator: Generator) -> Indices:
    """Return the positions of those of n faces that the change is made to."""
    return np.flatnonzero(generator.random(n) < probability).astype(np.int32)


def within(n: int, amount: float, generator: Generator) -> Floats:
    """Return n numbers between -amount and amount."""
    return generator.uniform(-amount, amount, n)


def between(n: int, reach: tuple[float, float], generator: Generator) -> Floats:
    """Return n numbers from ... to, spread evenly over their logarithms: half of them below the geometric mean."""
    low, high = np.log(reach)
    return np.exp(generator.uniform(low, high, n))
