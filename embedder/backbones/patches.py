"""Several small CNNs, each of which looks at a patch of the face and has channels of the embedding to itself.

Where people are few a network learns them by heart; networks that saw other things, and learnt apart, are wrong about
other strangers, and are more often right together than any of them alone. Source: Sun, Wang, Tang, "Deep Learning Face
Representation from Predicting 10,000 Classes", 2014, whose networks look at patches too. Pixels and edges are other
things as well.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .small import WIDTH, Edges, Small

Patch = tuple[float, float, float, float]  # top, left, bottom, right, as shares of the picture's side

WHOLE: Patch = (0, 0, 1, 1)
# Forehead, brow, eye and nose of one half of the face, and of a mirror image those of the other one: where both are
# embedded they are worth two.
UPPER: Patch = (2 / 16, 1 / 16, 11 / 16, 10 / 16)


class Branch(NamedTuple):
    """What one network looks at, and how wide it is."""

    patch: Patch
    width: int
    cell_px: int | None = None  # of edges; none: it sees pixels

    def trunk(self) -> Small:
        """Build it, untrained."""
        return Small(self.width, Edges(self.cell_px) if self.cell_px else None)


BRANCHES: Mapping[str, Branch] = {
    "whole": Branch(WHOLE, 16),
    "upper": Branch(UPPER, 24),
    "whole_edges": Branch(WHOLE, WIDTH, cell_px=3),
    "upper_edges": Branch(UPPER, WIDTH, cell_px=2),
}


class Patches(Backbone):
    """A `small` trunk for each branch, over pixels or edges; their 256 channels lie one after the other."""

    n_branches = len(BRANCHES)
    out_channels = n_branches * Small.out_channels
    default_input_size_px = 64
    smallest_input_size_px = 59  # then no patch is smaller than a `small` network can see

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
