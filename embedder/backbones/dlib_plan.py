"""The shape of dlib's face ResNet-29, as plain numbers: shared by the network and by the reader of dlib's file."""

from dataclasses import dataclass

STEM_CHANNELS = 32
STEM_KERNEL = 7
OUT_CHANNELS = 256


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One residual block: its channels, and whether it halves height and width."""

    channels: int
    halves: bool = False


BLOCKS = (
    *(BlockPlan(32),) * 3,
    BlockPlan(64, halves=True),
    *(BlockPlan(64),) * 3,
    BlockPlan(128, halves=True),
    *(BlockPlan(128),) * 2,
    BlockPlan(256, halves=True),
    *(BlockPlan(256),) * 2,
    BlockPlan(256, halves=True),
)
