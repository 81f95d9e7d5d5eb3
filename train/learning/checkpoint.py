"""Checkpoints: the complete state of a run in one safetensors file, without pickle.

safetensors has no checksum, so the file's metadata has a sha256 of all names, shapes, numbers and facts; it costs about
a second for each GB, when writing and when reading.

The sampler and the augmentation have no state of their own: their draws depend only on the seed and the step.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from embedder import open_regular_file, replace_file

from ..errors import TrainingError
from .learner import Learner
from .weight_averaging import WeightAverage

FACTS = "facts"


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensors:
    """The content of a tensors file."""

    tensors: dict[str, Tensor]
    facts: str  # JSON


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: str) -> None:
    """Write a file atomically: it replaces an older one only when complete. Raises TrainingError."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = save(whole, {FACTS: f"{_sha256(whole, facts)}\n{facts}"})
    try:
        replace_file(path, content)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror}; free disk space, then resume from the last checkpoint with "
            "--resume"
        ) from error


def read_tensors(path: Path) -> StoredTensors:
    """Read a tensors file. Raises TrainingError if it is missing, or if one byte of it is not as it was written."""
    try:
        open_regular_file(path).close()  # safe_open would wait for a pipe
        with safe_open(path, framework="pt") as file:
            digest, _, facts = (file.metadata() or {})[FACTS].partition("\n")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: does not exist; start a new run, without --resume") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _damaged(path, type(error).__name__) from error
    if digest != _sha256(tensors, facts):
        raise _damaged(path, "sha256 differs")
    return StoredTensors(tensors, facts)


def _sha256(tensors: Mapping[str, Tensor], facts: str) -> str:
    """Digest of the content of a tensors file: "sha256:..."."""
    digest = hashlib.sha256(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return "sha256:" + digest.hexdigest()


def _damaged(path: Path, reason: str) -> TrainingError:
    return TrainingError(f"{path}: is damaged ({reason}); start a new run in another folder")


def within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have this prefix, without the prefix."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add a prefix to all names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """The parts of a run that change during training."""

    learner: Learner
    optimizer: Optimizer
    average: WeightAverage

    def save(self, path: Path, facts: str) -> None:
        """Write a checkpoint; `facts` is JSON with the run's counters. Raises TrainingError."""
        tensors = (
            under("learner", self.learner.state_dict())
            | under("average", self.average.state())
            | under("optimizer", _of_optimizer(self.optimizer))
            | {"generator": torch.get_rng_state()}
        )
        write_tensors(path, tensors, facts)

    def load(self, stored: StoredTensors) -> None:
        """Restore the state from the content of a checkpoint."""
        self.learner.load_state_dict(within("learner", stored.tensors))
        self.average.load(within("average", stored.tensors))
        _into_optimizer(self.optimizer, stored)
        torch.set_rng_state(stored.tensors["generator"])


def _of_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state tensors, named by the parameter's position."""
    state = optimizer.state_dict()["state"]
    return {
        f"{position}.{name}": torch.as_tensor(value) for position, kept in state.items() for name, value in kept.items()
    }


def _into_optimizer(optimizer: Optimizer, stored: StoredTensors) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in within("optimizer", stored.tensors).items():
        position, _, key = name.partition(".")
        state.setdefault(int(position), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
