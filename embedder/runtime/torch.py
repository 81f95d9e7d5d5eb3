"""Networks run by torch: the reference, and whatever has no exported graph."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..detection.weights import load_networks
from ..errors import RuntimeUnavailable
from ..network import build_network, fold
from ..weights.bundle import Bundle
from .runtime import DetectionPasses, EmbeddingPasses, Pass, Precision

CPU = torch.device("cpu")


class TorchRuntime:
    """On one device."""

    def __init__(self, device: str = "cpu", precision: Precision = "f32", threads: int | None = None) -> None:
        """Compute embeddings in that precision. Raises RuntimeUnavailable where there is no such device.

        torch has one number of threads for the whole process.
        """
        self._precision = precision
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._device = torch.device(device)
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:  # torch has no one error for it
            raise RuntimeUnavailable(
                f"torch has no device {device!r} here: say cpu, or see what torch supports"
            ) from error

    def embedding(self, bundle: Bundle) -> EmbeddingPasses:
        """The network of a bundle, folded. Raises BundleError where its weights do not fit."""
        return EmbeddingPasses(self._pass(fold(build_network(bundle).eval()), self._precision))

    def detection(self) -> DetectionPasses:
        """The cascade's networks."""
        networks = load_networks()
        return DetectionPasses(
            *(self._pass(each, "f32") for each in (networks.proposal, networks.refinement, networks.output))
        )

    def _pass(self, network: nn.Module, precision: Precision) -> Pass:
        network = network.requires_grad_(requires_grad=False).to(self._device)

        def one(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bf16"):
                return run(network, pixels, self._device)

        return one


def run(network: nn.Module, pixels: NDArray[np.uint8], device: torch.device = CPU) -> tuple[NDArray[np.float32], ...]:
    """One forward pass without gradients; a tuple of arrays, also where the network gives a single one."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device))
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(tensor.float().cpu().numpy() for tensor in tensors)
