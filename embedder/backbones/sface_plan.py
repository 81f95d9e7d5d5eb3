"""The shape of the SFace network, as plain numbers: shared by the network and by the reader of its file."""

from dataclasses import dataclass

SFACE_INPUT_SIZE_PX = 112
SFACE_STEM_CHANNELS = 32
SFACE_KERNEL = 3  # of the stem and of every depthwise convolution
SFACE_OUT_CHANNELS = 1024
SFACE_OUT_SIDE_PX = 7  # of the last map, which the head's kernels cover
SFACE_EPS = 1e-3
SFACE_LAST_EPS = 2e-5  # of the normalisations before and after the head's convolution


@dataclass(frozen=True, slots=True)
class SFaceBlockPlan:
    """A depthwise and a 1x1 convolution: the channels after both, and whether the first halves height and width."""

    channels: int
    halves: bool = False


SFACE_STAGES = (
    (SFaceBlockPlan(64),),  # 112x112
    (SFaceBlockPlan(128, halves=True), SFaceBlockPlan(128)),  # 56x56
    (SFaceBlockPlan(256, halves=True), SFaceBlockPlan(256)),  # 28x28
    (SFaceBlockPlan(512, halves=True), *(SFaceBlockPlan(512),) * 5),  # 14x14
    (SFaceBlockPlan(1024, halves=True), SFaceBlockPlan(1024)),  # 7x7
)
