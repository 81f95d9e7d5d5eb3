"""SFace's MobileNet: alternating depthwise convolutions, which mix only space, and 1x1 ones, which mix only channels.

Sources: Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", 2021; Howard et al.,
"MobileNets", 2017; the graph of OpenCV Zoo's face_recognition_sface_2021dec.
"""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from .backbone import Backbone
from .plans import (
    SFACE_EPS,
    SFACE_INPUT_SIZE_PX,
    SFACE_KERNEL,
    SFACE_LAST_EPS,
    SFACE_OUT_CHANNELS,
    SFACE_OUT_SIDE_PX,
    SFACE_STAGES,
    SFACE_STEM_CHANNELS,
    SFaceBlockPlan,
)


class Unit(nn.Sequential):
    """A convolution without a bias, then batch normalisation, then PReLU with a slope for each channel."""

    def __init__(self, below: int, channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(below, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        norm, activation = nn.BatchNorm2d(channels, SFACE_EPS), nn.PReLU(channels)
        super().__init__(OrderedDict(conv=conv, norm=norm, activation=activation))


class Separable(nn.Sequential):
    """A depthwise separable convolution: a depthwise convolution, then a 1x1 convolution over channels."""

    def __init__(self, below: int, block: SFaceBlockPlan) -> None:
        space = Unit(below, below, SFACE_KERNEL, stride=2 if block.halves else 1, groups=below)
        super().__init__(OrderedDict(space=space, channels=Unit(below, block.channels, 1)))


class SFace(Backbone):
    """3@112x112 -> 64@112x112 -> 128@56x56 -> 256@28x28 -> 512@14x14 -> 1024@7x7."""

    out_channels = SFACE_OUT_CHANNELS
    out_side_px = SFACE_OUT_SIDE_PX
    head_norm_eps = SFACE_LAST_EPS
    default_input_size_px = SFACE_INPUT_SIZE_PX
    smallest_input_size_px = SFACE_INPUT_SIZE_PX - 15  # halved four times, rounding up, this gives 7 px too
    largest_input_size_px = SFACE_INPUT_SIZE_PX

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, SFACE_STEM_CHANNELS, SFACE_KERNEL)
        below = SFACE_STEM_CHANNELS
        for number, blocks in enumerate(SFACE_STAGES, start=1):
            widths = [below, *(block.channels for block in blocks)]
            stage = (Separable(own, block) for (own, _), block in zip(pairwise(widths), blocks, strict=True))
            setattr(self, f"stage{number}", nn.Sequential(*stage))
            below = widths[-1]
        self.bn1 = nn.BatchNorm2d(SFACE_OUT_CHANNELS, SFACE_LAST_EPS)

    def stages(self) -> Mapping[str, nn.Module]:
        """The stem, a stage for each map size, then the last normalisation."""
        return dict(self.named_children())

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (n, 3, 112, 112), normalised, to (n, 1024, 7, 7)."""
        maps = pictures
        for stage in self.children():
            maps = stage(maps)
        return maps
