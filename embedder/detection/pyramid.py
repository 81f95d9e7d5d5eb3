"""A view at the scales that faces are looked for, and the pieces cut from it, each from the smallest picture that does.

Averages of pixels are made of averages: a level of 1/10 comes from the view at 1/4, not from all its pixels.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..photo import factor_for
from .boxes import Flags, Floats
from .views import View

CELL_PX = 12  # what a cell of the proposal network looks at
_GAP = (
    2.0  # how much larger than what is made of it a picture is at least: the average of the pixels is then near enough
)

Pixels = NDArray[np.uint8] | NDArray[np.float32]  # (height, width, 3), 0..255; whole numbers, or as exact as they are
Crops = NDArray[np.uint8] | NDArray[np.float32]  # (n, size, size, 3)


def scales_of(size: tuple[int, int], min_face_px: float, step: float) -> list[float]:
    """The scales of a picture, the coarsest first: from the whole shorter side in one cell to the smallest face."""
    scales = []
    scale = CELL_PX / min_face_px
    while min(size) * scale >= CELL_PX:
        scales.append(scale)
        scale *= step
    return scales[::-1]


class Cuts(Protocol):
    """What is cut from one view."""

    def level(self, scale: float) -> Pixels:
        """The whole view at a scale, (height, width, 3): each side times the scale, plus 1, rounded down."""

    def crops(self, boxes: Floats, size: int) -> tuple[Flags, Crops]:
        """Boxes, clipped to the view, at size x size: which of them lie in it, (n,), and the pieces of those."""


class Pyramid:
    """Cuts by averages of averages."""

    def __init__(self, view: View) -> None:
        self._view = view

    def level(self, scale: float) -> NDArray[np.uint8]:
        """See Cuts."""
        picture = self._view.at(factor_for(1 / (_GAP * scale)))
        return np.asarray(picture.resize(level_size(self._view, scale), Image.Resampling.BOX, reducing_gap=_GAP))

    def crops(self, boxes: Floats, size: int) -> tuple[Flags, Crops]:
        """See Cuts. One by one, in C: all at once in numpy takes longer, at any number of boxes."""
        inside, windows = clipped(boxes, self._view.size)
        pieces = np.empty((len(windows), size, size, 3), np.uint8)
        for place, window in enumerate(windows.tolist()):
            pieces[place] = self._cut(window, size)
        return inside, pieces

    def _cut(self, window: list[float], size: int) -> NDArray[np.uint8]:
        factor = factor_for(min(window[2] - window[0], window[3] - window[1]) / (_GAP * size))
        picture = self._view.at(factor)
        left, top, right, bottom = (edge / factor for edge in window)
        box = left, top, min(right, picture.width), min(bottom, picture.height)
        return np.asarray(picture.resize((size, size), Image.Resampling.BOX, box=box))


def level_size(view: View, scale: float) -> tuple[int, int]:
    """Width and height of a level."""
    return int(view.size[0] * scale + 1), int(view.size[1] * scale + 1)


def clipped(boxes: Floats, size: tuple[int, int]) -> tuple[Flags, Floats]:
    """Which boxes lie in a picture of that size, (n,), and the whole pixels of those, (m, 4), clipped to it."""
    corners = np.trunc(boxes)
    left_top = np.maximum(corners[:, :2], 1) - 1
    right_bottom = np.minimum(corners[:, 2:], size)
    inside: Flags = np.all(right_bottom > left_top, axis=1)
    return inside, np.concatenate([left_top, right_bottom], axis=1)[inside]
