"""The dimensions of the built-in networks, for the networks and the readers of their files. Needs no torch."""

from dataclasses import dataclass

DLIB_STEM_CHANNELS = 32
DLIB_STEM_KERNEL = 7
DLIB_OUT_CHANNELS = 256


@dataclass(frozen=True, slots=True)
class DlibBlockPlan:
    """One residual block: its channels, and whether it halves height and width."""

    channels: int
    halves: bool = False


DLIB_BLOCKS = (
    *(DlibBlockPlan(32),) * 3,
    DlibBlockPlan(64, halves=True),
    *(DlibBlockPlan(64),) * 3,
    DlibBlockPlan(128, halves=True),
    *(DlibBlockPlan(128),) * 2,
    DlibBlockPlan(256, halves=True),
    *(DlibBlockPlan(256),) * 2,
    DlibBlockPlan(256, halves=True),
)


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
