"""What every backbone is: maps shrink and channels grow, down to a last map that the head turns into the embedding."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn


class WholeMap(nn.Conv2d):
    """A convolution whose kernel is as large as the map: it has one place to be, and is a product of matrices.

    As such it is computed while it learns: oneDNN takes many times as long for the gradient of the convolution.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, below, side, side) to (n, channels, 1, 1)."""
        if not self.training:
            return super().forward(maps)
        return F.linear(maps.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


class Mean(nn.Module):
    """(n, channels, h, w) to (n, channels, 1, 1): the mean over the map.

    torch's AdaptiveAvgPool2d gives the same, but of a picture whose colours lie side by side in memory it is exported
    with steps that copy, between which what follows the pool is not recognised as a part of it.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Take the mean over height and width."""
        return maps.mean(dim=(2, 3), keepdim=True)


class Pool(nn.Sequential):
    """(n, channels, h, w) to (n, channels, 1, 1): the mean over the map, each channel brought to mean 0 and variance 1.

    What is pooled after a ReLU is positive in every channel, so that all faces begin in one narrow cone, and a network
    that learns from scratch takes many epochs to get them out of it. Brought to mean 0 they begin all around.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(Mean(), nn.BatchNorm2d(channels, affine=False))


class Backbone(nn.Module, ABC):
    """A trunk: (n, 3, side, side), normalised, to (n, out_channels, out_side_px, out_side_px)."""

    out_channels: int
    out_side_px: ClassVar[int] = 1  # of the last map: 1, pooled, or larger, and then the head's kernels cover it
    head_norm_eps: ClassVar[float | None] = None  # of a batch normalisation that ends the head; None: there is none
    n_branches: ClassVar[int] = 1  # parts that see nothing of each other; each has as many channels as the next
    default_input_size_px: ClassVar[int]
    smallest_input_size_px: ClassVar[int] = 1  # below it the maps run out of pixels before the last layer
    largest_input_size_px: ClassVar[int | None] = None  # above it the last map is too large for the head; None: never

    @abstractmethod
    def stages(self) -> Mapping[str, nn.Module]:
        """Parts by name, from the input on; every parameter is in exactly one. They freeze and learn stage by stage."""

    @abstractmethod
    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, out_channels, out_side_px, out_side_px)."""
