"""The shape of dlib's face ResNet-29, as plain numbers: shared by the network and by the reader of dlib's file."""

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
