"""An ensemble of small CNNs, each with its own patch of the face and its own channels of the embedding.

A network trained on few people overfits. Networks with different inputs, trained independently, make different errors,
so the ensemble is more accurate than each of them. Source: Sun, Wang, Tang, "Deep Learning Face Representation from
Predicting 10,000 Classes", 2014, whose networks use patches too. Here some networks use edges instead of pixels.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .small import WIDTH, Edges, Small

Patch = tuple[float, float, float, float]  # top, left, bottom, right, as shares of the picture's side

WHOLE: Patch = (0, 0, 1, 1)
# Forehead, brow, eye and nose of one half of the face. In the mirror image, the patch shows the other half, so with
# `mirror` the branch covers both halves.
UPPER: Patch = (2 / 16, 1 / 16, 11 / 16, 10 / 16)


class Branch(NamedTuple):
    """The patch, width and input of one network."""

    patch: Patch
    width: int
    cell_px: int | None = None  # cell size of edges; None: the input is pixels

    def trunk(self) -> Small:
        """Build the untrained network."""
        return Small(self.width, Edges(self.cell_px) if self.cell_px else None)


BRANCHES: Mapping[str, Branch] = {
    "whole": Branch(WHOLE, 16),
    "upper": Branch(UPPER, 24),
    "whole_edges": Branch(WHOLE, WIDTH, cell_px=3),
    "upper_edges": Branch(UPPER, WIDTH, cell_px=2),
}


class Patches(Backbone):
    """A `small` trunk for each branch, over pixels or edges; their 256 channels are concatenated."""

    n_branches = len(BRANCHES)
    out_channels = n_branches * Small.out_channels
    default_input_size_px = 64
    smallest_input_size_px = 59  # at a smaller size, a patch is too small for `small`

    def __init__(self) -> None:
        super().__init__()
        for name, branch in BRANCHES.items():
            setattr(self, name, branch.trunk())

    def stages(self) -> Mapping[str, nn.Module]:
        """A stage for each branch."""
        return dict(self.named_children())

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, 1024, 1, 1)."""
        seen = [
            trunk(_cut(pictures, branch.patch))
            for trunk, branch in zip(self.children(), BRANCHES.values(), strict=True)
        ]
        return torch.cat(seen, dim=1)


def _cut(pictures: Tensor, patch: Patch) -> Tensor:
    top, left, bottom, right = (round(pictures.shape[-1] * share) for share in patch)
    return pictures[..., top:bottom, left:right]
