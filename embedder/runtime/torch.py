"""Run networks with torch: the reference implementation, also for bundles without an exported graph."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import RuntimeUnavailable
from ..network import build_network, fuse_batch_norm
from ..types import Inputs, Pass, Precision
from ..weights.bundle import Bundle
from .runtime import EmbeddingSession

CPU = torch.device("cpu")
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # as torch names them; the last is ARM's


class TorchRuntime:
    """Runs networks on one torch device."""

    def __init__(self, device: str = "cpu", precision: Precision = "f32", threads: int | None = None) -> None:
        """Compute embeddings in `precision`. Raises RuntimeUnavailable if the device is missing or does not support it.

        `threads` applies to the whole process, as torch has only one setting.
        """
        self._precision = precision
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._device = torch.device(device)
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:  # torch raises either
            raise RuntimeUnavailable(
                f"torch has no device {device!r} here; use cpu or a device that torch supports"
            ) from error
        if precision == "int8":
            raise RuntimeUnavailable("torch does not support int8; use openvino on the CPU, or f32")
        if precision == "bf16" and not computes_in_bf16(self._device.type):
            raise RuntimeUnavailable(f"{self._device} does not support bf16; use f32")

    def embedding(self, bundle: Bundle) -> EmbeddingSession:
        """Build the network of a bundle, folded. Raises BundleError if its weights do not fit."""
        one = self._pass(fuse_batch_norm(build_network(bundle).eval()), self._precision)
        return EmbeddingSession(one, self._precision, f"torch {self._precision} {self._device}")

    def _pass(self, network: nn.Module, precision: Precision) -> Pass:
        network = network.requires_grad_(requires_grad=False).to(self._device)

        def one(pixels: Inputs) -> tuple[NDArray[np.float32], ...]:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=precision == "bf16"):
                return run(network, pixels, self._device)

        return one


def computes_in_bf16(device_type: str) -> bool:
    """Whether a device type (cpu, cuda, ...) supports bf16 in hardware; emulation is ten times slower than f32."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return device_type != "cpu" or any(capabilities.get(name) for name in BF16_INSTRUCTIONS)


def run(network: nn.Module, pixels: Inputs, device: torch.device = CPU) -> tuple[NDArray[np.float32], ...]:
    """Run one forward pass without gradients; returns a tuple of arrays, even for a single output."""
    with torch.inference_mode():
        outputs = network(torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device))
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(tensor.float().cpu().numpy() for tensor in tensors)
