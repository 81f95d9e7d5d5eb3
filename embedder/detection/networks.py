"""The three small networks of MTCNN: proposal, refinement, output. Pixels in, scores and corrections out.

Source: Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks, 2016.
Module names are those of the stored weights. Pixels are those of a picture less 127.5 (shapes.py).
"""

import torch
from torch import Tensor, nn

Outputs = tuple[Tensor, ...]


def _as_maps(pixels: Tensor) -> Tensor:
    """Map RGB (n, height, width, 3) to float32 (n, 3, height, width)."""
    return pixels.permute(0, 3, 1, 2).float()


def _as_columns(maps: Tensor) -> Tensor:
    """Flatten maps column by column: the weights were trained in a framework whose maps are transposed."""
    return maps.permute(0, 3, 2, 1).flatten(1)


class PNet(nn.Module):
    """Runs over a whole picture; each output cell looks at 12x12 pixels, 2 apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, pixels: Tensor) -> Outputs:
        """Map pixels (n, h, w, 3) to scores (n, h', w') and box corrections (n, 4, h', w')."""
        x = self.pool1(self.prelu1(self.conv1(_as_maps(pixels))))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return torch.softmax(self.conv4_1(x), 1)[:, 1], self.conv4_2(x)


class RNet(nn.Module):
    """Judges and corrects one proposal of 24x24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, pixels: Tensor) -> Outputs:
        """Map pixels (n, 24, 24, 3) to scores (n,) and box corrections (n, 4)."""
        x = self.pool(self.prelu1(self.conv1(_as_maps(pixels))))
        x = self.prelu3(self.conv3(self.pool(self.prelu2(self.conv2(x)))))
        x = self.prelu4(self.dense4(_as_columns(x)))
        return torch.softmax(self.dense5_1(x), 1)[:, 1], self.dense5_2(x)


class ONet(nn.Module):
    """Judges and corrects one candidate of 48x48 pixels and finds its five landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, pixels: Tensor) -> Outputs:
        """Map pixels (n, 48, 48, 3) to scores (n,), box corrections (n, 4) and landmarks (n, 10): 5 x, then 5 y."""
        x = self.pool(self.prelu1(self.conv1(_as_maps(pixels))))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.prelu4(self.conv4(self.pool3(self.prelu3(self.conv3(x)))))
        x = self.prelu5(self.dense5(_as_columns(x)))
        return torch.softmax(self.dense6_1(x), 1)[:, 1], self.dense6_2(x), self.dense6_3(x)
