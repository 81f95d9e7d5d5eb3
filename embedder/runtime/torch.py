"""Networks run by torch, on the CPU: the reference."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..network import build_network, fold
from ..types import Chips, Vectors
from ..weights.bundle import Bundle

MAX_BATCH = 64  # chips a pass; bounds memory, and larger batches are no faster on a CPU


class TorchEmbedder:
    """A bundle's network, folded: chips in, embeddings out. Safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self._network = fold(build_network(bundle).requires_grad_(requires_grad=False).eval())

    def __call__(self, chips: Chips) -> Vectors:
        """Map uint8 (n, 150, 150, 3) to float32 (n, 128), in passes of bounded size."""
        passes = [self._pass(chips[start : start + MAX_BATCH]) for start in range(0, len(chips), MAX_BATCH)]
        return np.concatenate(passes)

    def _pass(self, chips: Chips) -> Vectors:
        return run(self._network, chips)[0]


def run(network: nn.Module, batch: NDArray[np.generic]) -> tuple[NDArray[np.float32], ...]:
    """One forward pass without gradients; a tuple of arrays, also where the network gives a single one."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(np.require(batch, requirements=["C", "W"])))
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(tensor.numpy() for tensor in tensors)
