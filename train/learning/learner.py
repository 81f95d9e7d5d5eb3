"""The trained module: the network with its losses; also the choice of precision and device."""

import ctypes
from dataclasses import dataclass
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from embedder import EmbeddingNet, computes_in_bf16

from ..errors import TrainingError
from ..losses.build import LossValue, TotalLoss
from ..run_file import LoopConfig
from .batches import Batch
from .distributed import gathered
from .sampler import WHOLE, Share

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # as malloc.h of glibc numbers them
_LARGEST_KEPT, _MOST_KEPT, _AHEAD = 32 * 2**20, 2**31 - 1, 256 * 2**20  # bytes


def keep_freed_memory() -> None:
    """Make the C library keep freed memory, if it has such a setting (glibc).

    Otherwise it returns large arrays to the system, which clears them before they are allocated again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((_MMAP_THRESHOLD, _LARGEST_KEPT), (_TRIM_THRESHOLD, _MOST_KEPT), (_TOP_PAD, _AHEAD)):
            mallopt(parameter, value)


Precision = Literal["f32", "bf16", "fp16"]
_ACCELERATES_NAMES = {"f32": "no", "bf16": "bf16", "fp16": "fp16"}


def chosen_precision(requested: Literal["auto", "f32", "bf16", "fp16"]) -> Precision:
    """Return the precision; auto is bf16 if the processor has instructions for it. Raises TrainingError."""
    if requested == "auto":
        return "bf16" if computes_in_bf16("cuda" if torch.cuda.is_available() else "cpu") else "f32"
    if requested == "fp16" and not torch.cuda.is_available():
        raise TrainingError("loop.precision fp16 needs a GPU; set auto, f32 or bf16")
    return requested


def build_accelerator(loop: LoopConfig) -> Accelerator:
    """Build the Accelerator, which manages the device and the other processes."""
    name = _ACCELERATES_NAMES[chosen_precision(loop.precision)]
    return Accelerator(mixed_precision=name, cpu=not torch.accelerator.is_available())


@dataclass(frozen=True, slots=True, eq=False)
class StepOutput:
    """The result of one forward pass."""

    embeddings: Tensor  # float32 (n, channels)
    loss: LossValue


class Learner(nn.Module):
    """Computes the loss of a batch: the network and its losses as one module."""

    def __init__(self, network: EmbeddingNet, losses: TotalLoss, *, head_alone: bool, share: Share = WHOLE) -> None:
        """With `head_alone` a batch holds features, the input of the head. `share` is that of its inputs."""
        super().__init__()
        self.network, self.losses, self.head_alone, self._share = network, losses, head_alone, share

    def forward(self, batch: Batch, step: int) -> StepOutput:
        """Embed a batch and compute its loss, the latter in float32 or better whatever the network's precision."""
        embed = self.network.head if self.head_alone else self.network.embed_pictures
        embeddings = gathered(embed(batch.inputs).float(), self._share)
        with torch.autocast(embeddings.device.type, enabled=False):
            return StepOutput(embeddings, self.losses(embeddings, batch.labels, step, batch.teachers))
