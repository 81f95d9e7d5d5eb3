"""What runs networks: a small protocol, so that nothing else knows by which library they run."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..types import Chips, Pass, Precision, Vectors
from ..weights.bundle import Bundle

MAX_BATCH = 64  # chips a pass; bounds memory, and larger batches are no faster on a CPU


class Runtime(Protocol):
    """Makes networks ready to run. What it makes is safe to call from several threads."""

    def embedding(self, bundle: Bundle) -> "EmbeddingPasses":
        """The network of a bundle. Raises BundleError or RuntimeUnavailable where this runtime cannot run it."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingPasses:
    """A bundle's network, in passes of bounded size."""

    one: Pass
    precision: Precision
    way: str  # what ran it, in words: another way's embeddings are not the same to the last bit

    def __call__(self, chips: Chips) -> Vectors:
        """Map uint8 chips (n, side, side, 3) to float32 (n, 128)."""
        return np.concatenate(
            [self.one(chips[start : start + MAX_BATCH])[0] for start in range(0, len(chips), MAX_BATCH)]
        )
