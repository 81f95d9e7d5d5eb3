"""Weights averaged over steps (EMA), drawn back to those at the start (L2-SP), or interpolated with them.

Sources: Li et al., "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", 2018; Wortsman et al.,
"Robust fine-tuning of zero-shot models", 2022.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from embedder import EmbeddingNet

Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage:
    """An exponential moving average, or the network itself where `decay` is 0.

    While few steps lie behind, it reaches back less far: else the untrained network would weigh for long.
    """

    def __init__(self, network: EmbeddingNet, decay: float) -> None:
        self._network, self._decay = network, decay
        self._averaged = AveragedModel(network, multi_avg_fn=self._move, use_buffers=True) if decay > 0 else None

    @property
    def network(self) -> EmbeddingNet:
        """The network to judge and to keep."""
        return self._network if self._averaged is None else cast("EmbeddingNet", self._averaged.module)

    def update(self) -> None:
        """Take the network's weights of this step in."""
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)

    def state(self) -> dict[str, Tensor]:
        """All that it keeps."""
        return {} if self._averaged is None else self._averaged.state_dict()

    def load(self, state: dict[str, Tensor]) -> None:
        """Set it as it was."""
        if self._averaged is not None:
            self._averaged.load_state_dict(state)

    @torch.no_grad()
    def _move(self, averaged: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            n = int(n_averaged)
            decay = min(self._decay, (1 + n) / (10 + n))
            get_ema_multi_avg_fn(decay)(averaged, current, n)  # type: ignore[no-untyped-call] # torch leaves it untyped
            return
        for ours, theirs in zip(averaged, current, strict=True):
            ours.copy_(theirs)  # counters are not averaged


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
            share = min(self._strength * group["lr"], 1.0)
            for parameter in group["params"]:
                if parameter in self._start_of:
                    parameter.lerp_(self._start_of[parameter], share)


def interpolate_weights(network: nn.Module, start: Weights, share: float) -> None:
    """Set weights to a share of their own and the rest of those at the start; 1 leaves them as they are."""
    if share < 1:
        mixed = {name: _between(start[name], tensor, share) for name, tensor in network.state_dict().items()}
        network.load_state_dict(mixed)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    return torch.lerp(start, end, share) if end.is_floating_point() else end
