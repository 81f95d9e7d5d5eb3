"""The shape of the SFace network, as plain numbers: shared by the network and by the reader of its file."""

from dataclasses import dataclass

INPUT_SIZE_PX = 112
STEM_CHANNELS = 32
KERNEL = 3  # of the stem and of every depthwise convolution
OUT_CHANNELS = 1024
OUT_SIDE_PX = 7  # of the last map, which the head's kernels cover
EPS = 1e-3
LAST_EPS = 2e-5  # of the normalisations before and after the head's convolution


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """A depthwise and a 1x1 convolution: the channels after both, and whether the first halves height and width."""

    channels: int
    halves: bool = False


STAGES = (
    (BlockPlan(64),),  # 112x112
    (BlockPlan(128, halves=True), BlockPlan(128)),  # 56x56
    (BlockPlan(256, halves=True), BlockPlan(256)),  # 28x28
    (BlockPlan(512, halves=True), *(BlockPlan(512),) * 5),  # 14x14
    (BlockPlan(1024, halves=True), BlockPlan(1024)),  # 7x7
)
