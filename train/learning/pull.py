"""Weights drawn back: towards those at the start while learning (L2-SP), and part of the way afterwards.

Sources: Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", 2018; Wortsman et al.,
"Robust fine-tuning of zero-shot models", 2022.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def weights_of(network: nn.Module) -> Weights:
    """Copy all weights and statistics."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


class L2SP:
    """Draws learning weights towards where they were, by a share of the rate at which each learns."""

    def __init__(self, network: nn.Module, start: Weights, strength: float) -> None:
        self._start_of = {parameter: start[name] for name, parameter in network.named_parameters()}
        self._strength = strength

    @torch.no_grad()
    def step(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Draw them, after a step of an optimizer with such groups of parameters, each with its rate as `lr`."""
        for group in groups if self._strength > 0 else ():
            pairs = [(each, self._start_of[each]) for each in group["params"] if each in self._start_of]
            if pairs:
                drawn, start = map(list, zip(*pairs, strict=True))
                torch._foreach_lerp_(drawn, start, min(self._strength * group["lr"], 1.0))


def interpolate_weights(network: nn.Module, start: Weights, share: float) -> None:
    """Set weights to a share of their own and the rest of those at the start; 1 leaves them as they are."""
    if share < 1:
        mixed = {name: _between(start[name], tensor, share) for name, tensor in network.state_dict().items()}
        network.load_state_dict(mixed)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    return torch.lerp(start, end, share) if end.is_floating_point() else end
