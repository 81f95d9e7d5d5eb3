"""A photo as the detector looks at it: shrunk, on a grey canvas with a border, turned if asked for.

Around a tight crop the border gives a face the surroundings that detectors know faces with; it is never left out, so
that there is one way for all photos.
"""

from dataclasses import dataclass
from math import ceil, hypot

import numpy as np
from PIL import Image

from ..photo import factor_for
from ..types import Pixels
from .boxes import Floats
from .detector import Picture
from .yunet import MULTIPLE_PX, Candidates

BORDER_SHARE = 0.2  # of the side that is looked at, on every side
GREY = (127, 127, 127)
_GAP = 2.0  # a picture that is shrunk is at least so many times as large: the average of its pixels is then near enough


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A photo on a canvas, upright."""

    picture: Image.Image  # the photo, shrunk
    scales: tuple[float, float]  # px of it to a px of the photo: across, down
    border: int  # px of the canvas, left of the photo and above it at least

    @classmethod
    def of(cls, photo: Picture, side: int, border: int) -> "Canvas":
        """Shrink or enlarge a photo so that its longer side is `side`, and put a border around it, both in px."""
        width, height = photo.size
        scale = side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        larger = photo.at(factor_for(1 / (_GAP * scale)))
        kind = Image.Resampling.BOX if larger.width >= size[0] else Image.Resampling.BILINEAR
        return cls(larger.resize(size, kind, reducing_gap=_GAP), (size[0] / width, size[1] / height), border)

    def pixels(self, angle: int = 0) -> Pixels:
        """The canvas (height, width, 3), turned so that a face which lies turned by so many degrees stands upright."""
        if angle == 0:
            return np.asarray(self._upright())
        return np.asarray(self._square().rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY))

    def back(self, found: Candidates) -> Candidates:
        """What was found on the canvas, where it lies in the photo: boxes keep their size, not their slant."""
        if not len(found):
            return found
        angle = found.angles[0]
        boxes = found.boxes - self.border if angle == 0 else self._turned_back(found.boxes, float(angle))
        return Candidates(boxes / np.array(self.scales * 2), found.scores, found.angles)

    def _upright(self) -> Image.Image:
        width, height = (_rounded_up(each + 2 * self.border) for each in self.picture.size)
        return self._pasted((width, height), (self.border, self.border))

    def _square(self) -> Image.Image:
        side = self._square_side
        return self._pasted((side, side), self._corner)

    @property
    def _square_side(self) -> int:
        """Side of a square canvas from which nothing is cut off when it is turned about its middle."""
        return _rounded_up(ceil(max(hypot(*self.picture.size) + 4, max(self.picture.size) + 2 * self.border)))

    @property
    def _corner(self) -> tuple[int, int]:
        side = self._square_side
        return (side - self.picture.width) // 2, (side - self.picture.height) // 2

    def _pasted(self, size: tuple[int, int], corner: tuple[int, int]) -> Image.Image:
        canvas = Image.new("RGB", size, GREY)
        canvas.paste(self.picture, corner)
        return canvas

    def _turned_back(self, boxes: Floats, angle: float) -> Floats:
        """Boxes in px of the shrunk photo, from px of the turned canvas."""
        middle, corner = complex(self._square_side, self._square_side) / 2, complex(*self._corner)
        centers = (boxes[:, 0] + boxes[:, 2] + 1j * (boxes[:, 1] + boxes[:, 3])) / 2
        centers = (centers - middle) * np.exp(1j * np.radians(angle)) + middle - corner
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        if round(angle / 90) % 2:
            half = half[:, ::-1]
        center = np.stack([centers.real, centers.imag], axis=1)
        return np.concatenate([center - half, center + half], axis=1)


def _rounded_up(side: int) -> int:
    return ceil(side / MULTIPLE_PX) * MULTIPLE_PX
