"""Weights drawn back: towards those at the start while learning (L2-SP), and part of the way afterwards.

Sources: Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", 2018; Wortsman et al.,
"Robust fine-tuning of zero-shot models", 2022.
"""

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def weights_of(network: nn.Module) -> Weights:
    """Copy all weights and statistics."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


class Pull:
    """Draws learning weights towards where they were, by a share of the learning rate at each step."""

    def __init__(self, network: nn.Module, start: Weights, strength: float) -> None:
        learning = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        self._parameters: list[Tensor] = [parameter for _, parameter in learning]
        self._start = [start[name] for name, _ in learning]
        self._strength = strength

    def step(self, rate: float) -> None:
        """Draw them, after a step of the optimizer at this rate."""
        share = self._strength * rate
        if share > 0:
            with torch.no_grad():
                torch._foreach_lerp_(self._parameters, self._start, min(share, 1.0))


def blend(network: nn.Module, start: Weights, share: float) -> None:
    """Set weights to a share of their own and the rest of those at the start; 1 leaves them as they are."""
    if share < 1:
        mixed = {name: _between(start[name], tensor, share) for name, tensor in network.state_dict().items()}
        network.load_state_dict(mixed)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    return torch.lerp(start, end, share) if end.is_floating_point() else end
