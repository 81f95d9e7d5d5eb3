"""Several small CNNs, each of which looks at a patch of the face and has channels of the embedding to itself.

Where people are few a network learns them by heart; networks that saw other things, and learnt apart, are wrong about
other strangers, and are more often right together than any of them alone. Source: Sun, Wang, Tang, "Deep Learning Face
Representation from Predicting 10,000 Classes", 2014, whose networks look at patches too.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .small import Small

Patch = tuple[float, float, float, float]  # top, left, bottom, right, as shares of the picture's side

# All but the first show one half of the face, and of a mirror image the other one: where both are embedded they are
# worth two.
PATCHES: dict[str, Patch] = {
    "whole": (0, 0, 1, 1),
    "side": (2 / 16, 1 / 16, 14 / 16, 10 / 16),
    "upper": (2 / 16, 1 / 16, 11 / 16, 10 / 16),  # its forehead, brow, eye and nose
    "lower": (5 / 16, 2 / 16, 15 / 16, 11 / 16),  # its cheek, nose, mouth and chin
}


class Patches(Backbone):
    """A `small` trunk for each patch; their 256 channels lie one after the other."""

    n_branches = len(PATCHES)
    out_channels = n_branches * Small.out_channels
    default_input_size_px = 64
    smallest_input_size_px = 59  # then no patch is smaller than a `small` network can see

    def __init__(self) -> None:
        super().__init__()
        for name in PATCHES:
            setattr(self, name, Small())

    def stages(self) -> Mapping[str, nn.Module]:
        """A stage for each patch."""
        return dict(self.named_children())

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, 1024, 1, 1)."""
        seen = [trunk(_cut(pictures, patch)) for trunk, patch in zip(self.children(), PATCHES.values(), strict=True)]
        return torch.cat(seen, dim=1)


def _cut(pictures: Tensor, patch: Patch) -> Tensor:
    top, left, bottom, right = (round(pictures.shape[-1] * share) for share in patch)
    return pictures[..., top:bottom, left:right]
