"""dlib's face ResNet-29: residual blocks whose shortcuts are average pools and zero padding, never convolutions.

Source: Davis King, dlib, dnn_face_recognition_ex.cpp; the 34-layer network of He et al. 2015 with fewer layers and
half the filters.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .backbone import Backbone
from .plans import DLIB_BLOCKS, DLIB_OUT_CHANNELS, DLIB_STEM_CHANNELS, DLIB_STEM_KERNEL


class Affine(nn.Module):
    """Scale and shift per channel: batch normalisation whose statistics were folded in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))


class ConvAffine(nn.Module):
    """A convolution, then its affine layer. Strided convolutions are not padded."""

    def __init__(self, below: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        padding = 0 if stride > 1 else kernel // 2
        self.conv = nn.Conv2d(below, channels, kernel, stride, padding)
        self.affine = Affine(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, below, h, w) to (n, channels, h', w').

        Scale and shift are folded into the weights first, which saves one pass over the maps in the backward pass.
        """
        weight = self.conv.weight * self.affine.scale[:, None, None, None]
        bias: Tensor = self.affine.shift
        if self.conv.bias is not None:
            bias = bias + self.conv.bias * self.affine.scale
        return F.conv2d(maps, weight, bias, self.conv.stride, self.conv.padding)

    def folded(self) -> nn.Conv2d:
        """Return an equivalent convolution; folded in float64, so that only the last bit may differ."""
        conv, scale = self.conv, self.affine.scale.double()
        bias = torch.zeros(len(scale)) if conv.bias is None else conv.bias
        folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)  # type: ignore[arg-type] # its own attributes
        folded.weight = nn.Parameter((conv.weight.double() * scale[:, None, None, None]).float())
        folded.bias = nn.Parameter((bias.double() * scale + self.affine.shift.double()).float())
        return folded


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut. A halving block pools its shortcut."""

    def __init__(self, below: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first: nn.Module = ConvAffine(below, channels, 3, 2 if halves else 1)
        self.second: nn.Module = ConvAffine(channels, channels, 3, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, below, h, w) to (n, channels, h', w')."""
        branch = self.second(F.relu(self.first(maps), inplace=True))
        shortcut = F.avg_pool2d(maps, 2) if self.halves else maps
        return F.relu(add_padded(branch, shortcut), inplace=True)


def add_padded(a: Tensor, b: Tensor) -> Tensor:
    """Add two maps of different size as dlib does, padding each with zeros in channels, rows and columns."""
    if a.shape == b.shape:
        return a + b
    shape = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]
    return _pad(a, shape) + _pad(b, shape)


def _pad(maps: Tensor, shape: list[int]) -> Tensor:
    channels, rows, columns = (wanted - own for wanted, own in zip(shape, maps.shape[1:], strict=True))
    return F.pad(maps, (0, columns, 0, rows, 0, channels))


class DlibResNet(Backbone):
    """The trunk: 3@150x150 -> 256@1x1."""

    out_channels = DLIB_OUT_CHANNELS
    default_input_size_px = 150
    smallest_input_size_px = 103

    def __init__(self) -> None:
        super().__init__()
        self.stem: nn.Module = ConvAffine(3, DLIB_STEM_CHANNELS, DLIB_STEM_KERNEL, 2)
        widths = [DLIB_STEM_CHANNELS, *(block.channels for block in DLIB_BLOCKS)]
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(below, block.channels, halves=block.halves)
                for below, block in zip(widths, DLIB_BLOCKS, strict=False)
            )
        )

    def stages(self) -> Mapping[str, nn.Module]:
        """The stem, then the blocks up to each halving: 32 channels in stage1, 256 in stage5."""
        starts = [0, *(k for k, block in enumerate(DLIB_BLOCKS) if block.halves), len(DLIB_BLOCKS)]
        return {"stem": self.stem} | {
            f"stage{number}": self.blocks[first:last] for number, (first, last) in enumerate(pairwise(starts), start=1)
        }

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, 150, 150), normalised, to (n, 256, 1, 1)."""
        maps = F.max_pool2d(F.relu(self.stem(pictures), inplace=True), 3, 2)  # (n, 32, 35, 35)
        return F.adaptive_avg_pool2d(self.blocks(maps), 1)
