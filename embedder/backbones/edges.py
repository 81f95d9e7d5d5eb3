"""The edges of a picture: where it grows lighter, in which direction, and how much beside what is around.

Nothing in it is learnt. More light, or more contrast, changes every pixel and leaves edges as they were: a network that
sees few people does not have to find that out from them. Source: Dalal and Triggs, "Histograms of Oriented Gradients
for Human Detection", 2005.
"""

from math import cos, pi, sin

import torch
from torch import Tensor, nn

DIRECTIONS = 8
GREY = (0.299, 0.587, 0.114)  # of red, green and blue
AROUND = (5, 3)  # sides of the windows, one mean after the other, that edges are compared with
FAINTEST = 2e-4  # mean square of edges below which a place is flat; they stay faint there


class Edges(nn.Module):
    """Pixels (n, 3, h, w), normalised, to (n, 8, h / cell, w / cell), rounded up: 0 or more, about 1 where clear."""

    out_channels = DIRECTIONS

    def __init__(self, cell_px: int) -> None:
        """Each number is the mean over `cell_px` by `cell_px` pixels."""
        super().__init__()
        self.edges = nn.Sequential(Kernels(), nn.ReLU(inplace=True))
        self.cells = nn.AvgPool2d(cell_px, ceil_mode=True)
        self.around = nn.Sequential(*(nn.AvgPool2d(side, 1, side // 2, count_include_pad=False) for side in AROUND))

    def forward(self, pictures: Tensor) -> Tensor:
        """Find edges, and divide them by the root of the mean square of those around."""
        edges: Tensor = self.cells(self.edges(pictures))
        around: Tensor = self.around((edges * edges).sum(dim=1, keepdim=True))
        return edges / (around + FAINTEST).sqrt()


class Kernels(nn.Conv2d):
    """A convolution with Sobel's kernel, turned by an eighth of the circle each; it does not learn."""

    def __init__(self) -> None:
        super().__init__(3, DIRECTIONS, 3, padding=1, bias=False)
        del self.weight  # a buffer in its place: whoever freezes or begins weights anew asks for parameters
        self.register_buffer("weight", _kernels(), persistent=False)


def _kernels() -> Tensor:
    """(8, 3, 3, 3), over red, green and blue as grey."""
    rightwards = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    angles = [2 * pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    turned = torch.stack([cos(angle) * rightwards + sin(angle) * rightwards.T for angle in angles])
    return turned[:, None] * torch.tensor(GREY)[:, None, None]
