"""The head: pooled map -> 1x1 convolution -> the 128 channels of the embedding."""

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .types import EMBEDDING_SIZE


class Head(nn.Module):
    """A 1x1 convolution over a 1x1 map: it only mixes channels, and is a fully connected layer by another name."""

    def __init__(self, below: int, *, unit_length: bool, n_branches: int = 1) -> None:
        """With several branches each has its own share of the channels, below and above, and an equal say."""
        super().__init__()
        self.unit_length, self.n_branches = unit_length, n_branches
        self.projection = nn.Conv2d(below, EMBEDDING_SIZE, 1, groups=n_branches, bias=False)
        if not unit_length:  # an untrained network's embeddings begin about 1 long, as margins and teachers expect
            nn.init.normal_(self.projection.weight, std=(below * EMBEDDING_SIZE) ** -0.5)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (n, below, 1, 1) to (n, 128)."""
        embeddings: Tensor = self.projection(pooled).flatten(1)
        if not self.unit_length:
            return embeddings
        parts = embeddings.reshape(-1, self.n_branches, EMBEDDING_SIZE // self.n_branches)
        unit: Tensor = F.normalize(parts, dim=2).flatten(1) * self.n_branches**-0.5
        return unit
