"""A convolution that sees a whole map at once."""

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
