"""The base class of backbones, and the pooling layers that they share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn


class FullMapConv(nn.Conv2d):
    """A convolution whose kernel is as large as the map, and which therefore equals a matrix product.

    In training it is computed as a matrix product, because oneDNN's gradient of the convolution is many times slower.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, below, side, side) to (n, channels, 1, 1)."""
        if not self.training:
            return super().forward(maps)
        return F.linear(maps.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


class Mean(nn.Module):
    """The mean over the map: (n, channels, h, w) to (n, channels, 1, 1).

    torch's AdaptiveAvgPool2d computes the same. But for channels-last inputs its export contains copies, and the
    operations between them are not recognised as part of the pool's layer.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Average over height and width."""
        return maps.mean(dim=(2, 3), keepdim=True)


class Pool(nn.Sequential):
    """The mean over the map, normalised to mean 0 and variance 1: (n, channels, h, w) to (n, channels, 1, 1).

    Values pooled after a ReLU are positive in every channel, so all embeddings start in a narrow cone, and training
    from scratch needs many epochs to spread them. With mean 0 they start in all directions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(Mean(), nn.BatchNorm2d(channels, affine=False))


class Backbone(nn.Module, ABC):
    """A trunk: maps (n, 3, side, side), normalised, to (n, out_channels, out_side_px, out_side_px)."""

    out_channels: int
    out_side_px: ClassVar[int] = 1  # of the last map: 1 if pooled; if larger, the head's kernels cover it
    head_norm_eps: ClassVar[float | None] = None  # eps of a batch normalisation that ends the head; None: there is none
    n_branches: ClassVar[int] = 1  # independent parts, with the same number of channels each
    default_input_size_px: ClassVar[int]
    smallest_input_size_px: ClassVar[int] = 1  # a smaller input leaves no pixels for the last layer
    largest_input_size_px: ClassVar[int | None] = None  # a larger input makes the last map too large; None: no limit

    @abstractmethod
    def stages(self) -> Mapping[str, nn.Module]:
        """Stages by name, in order; each parameter is in exactly one. Training freezes and trains whole stages."""

    @abstractmethod
    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, out_channels, out_side_px, out_side_px)."""
