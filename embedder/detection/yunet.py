"""YuNet: one pass over a picture of one size gives the boxes of its faces.

Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; OpenCV Zoo's weights (MIT).
"""

from dataclasses import dataclass

import numpy as np

from ..types import Pass, Pixels
from .boxes import Flags, Floats, Indices, suppressed

MULTIPLE_PX = 32  # a picture's sides
STRIDES_PX = (8, 16, 32)  # each has a cell for so many pixels
MIN_SCORE = 0.6  # below it are more false faces than faces
MAX_OVERLAP = 0.3  # of two faces: intersection over union


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n faces, with boxes in px of the picture they were found in."""

    boxes: Floats  # (n, 4): left, top, right, bottom
    scores: Floats  # (n,) above 0, at most 1
    angles: Floats  # (n,) by how many degrees clockwise the picture was turned back before they were found in it

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, places: Indices | Flags) -> "Candidates":
        """Return some of them, by position or by flag."""
        return Candidates(self.boxes[places], self.scores[places], self.angles[places])

    def and_also(self, more: "Candidates") -> "Candidates":
        """Return these and more."""
        pairs = ((self.boxes, more.boxes), (self.scores, more.scores), (self.angles, more.angles))
        return Candidates(*(np.concatenate(pair) for pair in pairs))

    def without_doubles(self) -> "Candidates":
        """Return each face once, as it was found with the highest score; best first."""
        return self.at(suppressed(self.boxes, self.scores, MAX_OVERLAP)) if len(self) else self


def candidates(network: Pass, picture: Pixels, *, angle: float = 0.0) -> Candidates:
    """Find faces in a picture (height, width, 3), RGB, whose sides are multiples of MULTIPLE_PX; each once."""
    scores, offsets = network(picture[None])
    cells = np.flatnonzero(scores[0] >= MIN_SCORE)
    corners, strides = _places(cells, picture.shape[1], picture.shape[0])
    offset = offsets[0][cells]
    center = (corners + offset[:, :2]) * strides
    half = np.exp(offset[:, 2:]) * strides / 2
    boxes = np.concatenate([center - half, center + half], axis=1)
    return Candidates(boxes, scores[0][cells], np.full(len(cells), angle)).without_doubles()


def _places(cells: Indices, width: int, height: int) -> tuple[Floats, Floats]:
    """Column and row (n, 2), and stride (n, 1), of cells numbered stride by stride, row by row."""
    counts = [(width // stride) * (height // stride) for stride in STRIDES_PX]
    ends = np.cumsum(counts)
    number = np.searchsorted(ends, cells, side="right")
    strides = np.array(STRIDES_PX)[number]
    rows, columns = np.divmod(cells - (ends - counts)[number], width // strides)
    return np.stack([columns, rows], axis=1).astype(np.float64), strides[:, None].astype(np.float64)
