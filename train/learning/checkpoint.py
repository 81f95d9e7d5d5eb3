"""All that a run needs to go on as if it had never stopped: weights, optimizer, average, losses, generators, counters.

The sampler's and the augmentation's positions are the step: their draws depend on nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from .averaging import WeightAverage
from .learner import Learner
from .tensors_file import StoredTensors, read_tensors, under, within, write_tensors


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """The parts of a run that change."""

    learner: Learner
    optimizer: Optimizer
    average: WeightAverage

    def save(self, path: Path, facts: str) -> None:
        """Write them with the run's counters, as JSON. Raises TrainingError."""
        tensors = (
            under("learner", self.learner.state_dict())
            | under("average", self.average.state())
            | under("optimizer", _of_optimizer(self.optimizer))
            | {"generator": torch.get_rng_state()}
        )
        write_tensors(path, tensors, facts)

    def load(self, path: Path) -> None:
        """Set them as they were. Raises TrainingError."""
        stored = read_tensors(path)
        self.learner.load_state_dict(within("learner", stored.tensors))
        self.average.load(within("average", stored.tensors))
        _into_optimizer(self.optimizer, stored)
        torch.set_rng_state(stored.tensors["generator"])


def _of_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """Each number that it keeps of each parameter, by the parameter's position."""
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
