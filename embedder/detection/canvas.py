"""A photo as the detector looks at it: shrunk, in the middle of a square grey canvas, turned if asked for.

Around a tight crop the border gives a face the surroundings that detectors know faces with; it is never left out, so
that there is one way for all photos. Canvases are square because a network is slow on a picture of another shape than
its last one had.
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
_SLACK = 4  # px: a picture of odd sides lies off the middle by half a pixel, and turning blurs its edge


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A photo on a canvas, upright."""

    picture: Image.Image  # the photo, shrunk
    scales: tuple[float, float]  # px of it to a px of the photo: across, down
    border: int  # px of the canvas, left and right of the photo or above and below it at least

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
        """The canvas (side, side, 3), turned so that a face which lies turned by so many degrees stands upright."""
        side = self._side(angle)
        canvas = Image.new("RGB", (side, side), GREY)
        canvas.paste(self.picture, self._corner(side))
        return np.asarray(canvas.rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY) if angle else canvas)

    def back(self, found: Candidates) -> Candidates:
        """What was found on the canvas, where it lies in the photo: boxes keep their size, not their slant."""
        if not len(found):
            return found
        boxes = self._upright(found.boxes, float(found.angles[0]))
        return Candidates(boxes / np.array(self.scales * 2), found.scores, found.angles)

    def _side(self, angle: int) -> int:
        """A turned canvas is large enough for nothing to be cut off."""
        least = max(self.picture.size) + 2 * self.border
        if angle:
            least = max(least, ceil(hypot(*self.picture.size)) + _SLACK)
        return ceil(least / MULTIPLE_PX) * MULTIPLE_PX

    def _corner(self, side: int) -> tuple[int, int]:
        return (side - self.picture.width) // 2, (side - self.picture.height) // 2

    def _upright(self, boxes: Floats, angle: float) -> Floats:
        """Boxes in px of the shrunk photo, from px of the turned canvas."""
        side = self._side(round(angle))
        middle, corner = complex(side, side) / 2, complex(*self._corner(side))
        centers = (boxes[:, 0] + boxes[:, 2] + 1j * (boxes[:, 1] + boxes[:, 3])) / 2
        centers = (centers - middle) * np.exp(1j * np.radians(angle)) + middle - corner
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        if round(angle / 90) % 2:
            half = half[:, ::-1]
        center = np.stack([centers.real, centers.imag], axis=1)
        return np.concatenate([center - half, center + half], axis=1)
