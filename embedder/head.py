"""The head: the last map -> a convolution over the whole of it -> the 128 channels of the embedding."""

import torch.nn.functional as F  # noqa: N812 - torch's own name for it
from torch import Tensor, nn

from .backbones.whole_map import WholeMap
from .types import EMBEDDING_SIZE


class Head(nn.Module):
    """A convolution whose kernels cover the map, so that it is a fully connected layer by another name.

    Over a 1x1 map it only mixes channels; over a larger one it mixes channels and space.
    """

    def __init__(
        self, below: int, *, unit_length: bool, n_branches: int = 1, side_px: int = 1, norm_eps: float | None = None
    ) -> None:
        """With several branches each has its own share of the channels, below and above, and an equal say.

        Over a map of `side_px` > 1 the convolution has a bias, and no branches. `norm_eps` is that of a batch
        normalisation after it; None: there is none.
        """
        super().__init__()
        self.unit_length, self.n_branches = unit_length, n_branches
        self.projection = (
            nn.Conv2d(below, EMBEDDING_SIZE, 1, groups=n_branches, bias=False)
            if side_px == 1
            else WholeMap(below, EMBEDDING_SIZE, side_px)
        )
        self.norm = None if norm_eps is None else nn.BatchNorm2d(EMBEDDING_SIZE, norm_eps)
        if not unit_length:
            self._begin_about_1_long()

    def forward(self, last_map: Tensor) -> Tensor:
        """Map (n, below, side_px, side_px) to (n, 128)."""
        channels = self.projection(last_map)
        embeddings: Tensor = (channels if self.norm is None else self.norm(channels)).flatten(1)
        if not self.unit_length:
            return embeddings
        parts = embeddings.reshape(-1, self.n_branches, EMBEDDING_SIZE // self.n_branches)
        unit: Tensor = F.normalize(parts, dim=2).flatten(1) * self.n_branches**-0.5
        return unit

    def _begin_about_1_long(self) -> None:
        """As margins and teachers expect it of an untrained network's embeddings."""
        if self.norm is None:
            n_below = self.projection.weight[0].numel() * self.n_branches
            nn.init.normal_(self.projection.weight, std=(n_below * EMBEDDING_SIZE) ** -0.5)
        else:
            nn.init.constant_(self.norm.weight, EMBEDDING_SIZE**-0.5)
