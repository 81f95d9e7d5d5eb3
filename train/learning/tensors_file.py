"""Named tensors and a few plain facts in one safetensors file, written whole or not at all. Nothing reads a pickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from embedder import replace_file

from ..errors import TrainingError

FACTS = "facts"


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensors:
    """What a file holds."""

    tensors: dict[str, Tensor]
    facts: str  # JSON


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: str) -> None:
    """Write a file that takes the place of an older one when it is whole. Raises TrainingError."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = save(whole, {FACTS: facts})
    try:
        replace_file(path, content)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be written: {error.strerror}; make room, then go on by --resume from what was saved before"
        ) from error


def read_tensors(path: Path) -> StoredTensors:
    """Read it back. Raises TrainingError where it is not there or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = (file.metadata() or {})[FACTS]
            return StoredTensors({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118 - no mapping
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: is not there; begin the run anew, without --resume") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(
            f"{path}: is damaged ({type(error).__name__}); begin the run anew in another folder"
        ) from error


def within(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return those whose names begin so, under the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all under longer names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
