"""The average of a network's weights over the last steps, which is often better than the weights themselves."""

from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

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
        n = int(n_averaged)
        share = 1 - min(self._decay, (1 + n) / (10 + n))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)  # counters are not averaged
