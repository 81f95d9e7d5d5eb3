"""Weights averaged over steps (EMA), decayed towards the initial ones (L2-SP), or interpolated with them (WiSE-FT).

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
    """An exponential moving average of the weights, or the network itself if `decay` is 0.

    The decay is lower in the first steps, so that the untrained weights lose their influence quickly.
    """

    def __init__(self, network: EmbeddingNet, decay: float) -> None:
        self._network, self._decay = network, decay
        self._averaged = AveragedModel(network, multi_avg_fn=self._move, use_buffers=True) if decay > 0 else None

    @property
    def network(self) -> EmbeddingNet:
        """The network to validate and to keep."""
        return self._network if self._averaged is None else cast("EmbeddingNet", self._averaged.module)

    def update(self) -> None:
        """Update the average with the weights of this step."""
        if self._averaged is not None:
            self._averaged.update_parameters(self._network)

    def state(self) -> dict[str, Tensor]:
        """Return the state; empty without averaging."""
        return {} if self._averaged is None else self._averaged.state_dict()

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore the state."""
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
    """Decays trained weights towards their initial values (L2-SP), in proportion to their learning rates."""

    def __init__(self, network: nn.Module, start: Weights, strength: float) -> None:
        self._start_of = {parameter: start[name] for name, parameter in network.named_parameters()}
        self._strength = strength

    @torch.no_grad()
    def step(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Decay the weights after an optimizer step; `groups` are its parameter groups, with their rate as `lr`."""
        for group in groups if self._strength > 0 else ():
            share = min(self._strength * group["lr"], 1.0)
            for parameter in group["params"]:
                if parameter in self._start_of:
                    parameter.lerp_(self._start_of[parameter], share)


def interpolate_weights(network: nn.Module, start: Weights, share: float) -> None:
    """Set weights to start + share * (weights - start); 1 leaves them unchanged."""
    if share < 1:
        mixed = {name: _between(start[name], tensor, share) for name, tensor in network.state_dict().items()}
        network.load_state_dict(mixed)


def _between(start: Tensor, end: Tensor, share: float) -> Tensor:
    return torch.lerp(start, end, share) if end.is_floating_point() else end
