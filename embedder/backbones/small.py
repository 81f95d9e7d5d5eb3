"""A small residual CNN for CPUs, over pixels or edges; each stage doubles the channels and halves the maps.

`Edges` has no trainable parameters. Brightness and contrast change every pixel but not the normalised edges, so the
network need not learn this invariance from few people. Source: Dalal and Triggs, "Histograms of Oriented Gradients for
Human Detection", 2005.

Sources: He et al., "Deep Residual Learning", 2015; shortcuts that pool before their 1x1 convolution as in He et al.,
"Bag of Tricks", 2018; a final layer with weights for each place as in Chen et al., "MobileFaceNets", 2018, which has
them per channel; here they cover all channels.
"""

from collections.abc import Mapping
from math import cos, pi, sin

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .backbone import Backbone, FullMapConv

DIRECTIONS = 8
GREY = (0.299, 0.587, 0.114)  # of red, green and blue
AROUND = (5, 3)  # sides of the two averaging windows for normalisation, applied in turn
FAINTEST = 2e-4  # added to the mean square, so that edges in flat places remain weak


class Edges(nn.Module):
    """Map pixels (n, 3, h, w) to edges (n, 8, h / cell, w / cell), rounded up: 0 or more, about 1 if clear."""

    out_channels = DIRECTIONS

    def __init__(self, cell_px: int) -> None:
        """Each number is the mean over `cell_px` by `cell_px` pixels."""
        super().__init__()
        self.edges = nn.Sequential(Kernels(), nn.ReLU(inplace=True))
        self.cells = nn.AvgPool2d(cell_px, ceil_mode=True)
        self.around = nn.Sequential(*(nn.AvgPool2d(side, 1, side // 2, count_include_pad=False) for side in AROUND))

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute edges, divided by the root mean square of the edges around them."""
        edges: Tensor = self.cells(self.edges(pictures))
        around: Tensor = self.around((edges * edges).sum(dim=1, keepdim=True))
        return edges / (around + FAINTEST).sqrt()


class Kernels(nn.Conv2d):
    """A convolution with Sobel's kernel in eight directions; its weights are fixed."""

    def __init__(self) -> None:
        super().__init__(3, DIRECTIONS, 3, padding=1, bias=False)
        del self.weight  # replaced by a buffer, so that code that freezes or initialises parameters skips it
        self.register_buffer("weight", _kernels(), persistent=False)


def _kernels() -> Tensor:
    """The kernels, (8, 3, 3, 3), over the grey value of red, green and blue."""
    rightwards = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    angles = [2 * pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    turned = torch.stack([cos(angle) * rightwards + sin(angle) * rightwards.T for angle in angles])
    return turned[:, None] * torch.tensor(GREY)[:, None, None]


WIDTH = 32  # channels after the stem
REGIONS = 3  # of a face along each side, at the end
BLOCKS = (1, 1, 1)  # in each stage; the first of each halves the maps and doubles the channels


def conv_norm(below: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution without a bias, then batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(below, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions with a shortcut. When halving, the shortcut pools, then applies a 1x1 convolution."""

    def __init__(self, below: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.first = conv_norm(below, channels, 3, 2 if halves else 1)
        self.second = conv_norm(channels, channels, 3)
        pool = nn.AvgPool2d(2, ceil_mode=True) if halves else nn.Identity()
        self.shortcut = (
            nn.Sequential(pool, conv_norm(below, channels, 1)) if halves or below != channels else nn.Identity()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, below, h, w) to (n, channels, h', w')."""
        branch = self.second(F.relu(self.first(maps), inplace=True))
        return F.relu(branch + self.shortcut(maps), inplace=True)


class Regions(nn.Module):
    """Means over a 3 by 3 grid of windows of equal size, which cover the map and may overlap."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, channels, h, w), each side 3 or more, to (n, channels, 3, 3)."""
        steps = [max(1, side // REGIONS) for side in maps.shape[-2:]]
        sizes = [max(1, side - (REGIONS - 1) * step) for side, step in zip(maps.shape[-2:], steps, strict=True)]
        return F.avg_pool2d(maps, sizes, steps)


class RegionPool(nn.Sequential):
    """Pool (n, below, h, w) to (n, channels, 1, 1): 3 by 3 regions, mixed into channels of mean 0 and variance 1.

    A global mean discards positions. Faces are aligned, so each region always shows the same part of the face: the
    upper left one an eye. Each region therefore has its own weights.
    """

    def __init__(self, below: int, channels: int) -> None:
        super().__init__(
            Regions(),
            FullMapConv(below, channels, REGIONS, bias=False),
            nn.BatchNorm2d(channels, affine=False),
        )


class Small(Backbone):
    """3@96x96 -> 32@48x48 -> 64@24x24 -> 128@12x12 -> 256@6x6 -> 256@3x3 -> 256@1x1."""

    out_channels = WIDTH * 2 ** len(BLOCKS)
    default_input_size_px = 96
    smallest_input_size_px = 33  # leaves a last map of 3 by 3 px

    def __init__(self, width: int = WIDTH, edges: Edges | None = None) -> None:
        """Build the network; its channels double from `width` on. With `edges`, its input is edges, not pixels."""
        super().__init__()
        self.stem = edges or nn.Sequential(conv_norm(3, width, 3, 2), nn.ReLU(inplace=True))
        below = edges.out_channels if edges else width
        for number, n_blocks in enumerate(BLOCKS, start=1):
            channels = width * 2**number
            setattr(self, f"stage{number}", _stage(below, channels, n_blocks))
            below = channels
        self.pool = RegionPool(below, self.out_channels)
        _initialise(self)

    def stages(self) -> Mapping[str, nn.Module]:
        """The stem, a stage for each map size, then the pool."""
        return dict(self.named_children())

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, 256, 1, 1)."""
        maps = pictures
        for stage in self.children():
            maps = stage(maps)
        return maps


def _stage(below: int, channels: int, n_blocks: int) -> nn.Sequential:
    """A block that halves the maps, then blocks that keep their size."""
    first = Residual(below, channels, halves=True)
    return nn.Sequential(first, *(Residual(channels, channels, halves=False) for _ in range(n_blocks - 1)))


def _initialise(network: nn.Module) -> None:
    """He initialisation; residual branches start at 0, so that each block starts as its shortcut."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim == 4]  # noqa: PLR2004 - of convolutions
    for weight in kernels:
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    for module in network.modules():
        if isinstance(module, Residual):
            norm: nn.BatchNorm2d = module.second[1]  # type: ignore[assignment] # as conv_norm makes it
            nn.init.zeros_(norm.weight)
