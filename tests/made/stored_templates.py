"""Templates by number: each has its own embedding and quality, and every third one another model's digest."""

import numpy as np
from numpy.typing import NDArray

from embedder import Quality
from gallery import NewTemplate

DIGESTS = ("sha256:one", "sha256:other")


def vector(number: int) -> NDArray[np.float32]:
    """The embedding, (128,), of unit length."""
    drawn = np.random.default_rng(number).normal(size=128)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def new_template(number: int, *, request_id: str | None = None) -> NewTemplate:
    """The template; the distance of the eyes is its number."""
    quality = Quality(float(number), 0.7, 1 / 3, 128.0, 40.0, 0.0, -0.1, 0.9, 1.0, 0.5)
    return NewTemplate(vector(number), quality, DIGESTS[number % 3 == 0], request_id)
