"""What the network is computed in, and what accelerate makes of it."""

from typing import Literal

import torch
from accelerate import Accelerator

from embedder import computes_in_bf16

from ..errors import TrainingError
from ..runfile.run import LoopConfig

Precision = Literal["f32", "bf16", "fp16"]
_ACCELERATES_NAMES = {"f32": "no", "bf16": "bf16", "fp16": "fp16"}


def chosen_precision(asked: Literal["auto", "f32", "bf16", "fp16"]) -> Precision:
    """Say what to compute in; auto is bf16 where the processor has instructions for it. Raises TrainingError."""
    if asked == "auto":
        return "bf16" if computes_in_bf16("cuda" if torch.cuda.is_available() else "cpu") else "f32"
    if asked == "fp16" and not torch.cuda.is_available():
        raise TrainingError("loop.precision fp16 needs a GPU; say auto, f32 or bf16")
    return asked


def build_accelerator(loop: LoopConfig) -> Accelerator:
    """Build what knows the device and the other processes."""
    name = _ACCELERATES_NAMES[chosen_precision(loop.precision)]
    return Accelerator(mixed_precision=name, cpu=not torch.accelerator.is_available())
