"""The head: pooled map -> 1x1 convolution -> the 128 channels of the embedding."""

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .types import EMBEDDING_SIZE


class Head(nn.Module):
    """A 1x1 convolution over a 1x1 map: it only mixes channels, and is a fully connected layer by another name."""

    def __init__(self, below: int, *, unit_length: bool) -> None:
        super().__init__()
        self.unit_length = unit_length
        self.projection = nn.Conv2d(below, EMBEDDING_SIZE, 1, bias=False)
        if not unit_length:  # an untrained network's embeddings begin about 1 long, as margins and teachers expect
            nn.init.normal_(self.projection.weight, std=(below * EMBEDDING_SIZE) ** -0.5)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (n, below, 1, 1) to (n, 128)."""
        embeddings: Tensor = self.projection(pooled).flatten(1)
        return F.normalize(embeddings) if self.unit_length else embeddings
