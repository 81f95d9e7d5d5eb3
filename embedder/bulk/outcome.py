"""What becomes of a photo: an embedding with its face, or the reason why there is none."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..types import Sample


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhoto:
    """A photo whose face was embedded."""

    name: str
    sample: Sample
    vector: NDArray[np.float32] = field(repr=False)  # (128,)


@dataclass(frozen=True, slots=True)
class FailedPhoto:
    """A photo that gave no embedding."""

    name: str
    code: str  # of an error, as in no_face; or not_readable
    detail: str


class CpuSeconds(NamedTuple):
    """Processor time, over all processes, by stage."""

    find: float = 0.0  # reading, decoding, finding faces, cutting the chip: one after the other in each photo
    embed: float = 0.0
    write: float = 0.0

    def plus(self, other: "CpuSeconds") -> "CpuSeconds":
        """Add up, stage by stage."""
        return CpuSeconds(*(mine + its for mine, its in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """A batch of photos, in its order."""

    outcomes: tuple[EmbeddedPhoto | FailedPhoto, ...]
    cpu_s: CpuSeconds
