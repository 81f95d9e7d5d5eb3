"""What is searched: a photo as it is, within a border, or turned by quarters. A view makes no pixels until asked."""

from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageOps

from ..photo import FACTORS
from ..types import Box, Face, Point, Rotation

BORDER_SHARE = 0.25  # of the picture's longer side, on every side
MAX_ASPECT = 2  # no face is longer than that; in a longer picture the border follows the shorter side, to bound memory
BORDER_GREY = (127, 127, 127)

_BACK: dict[Rotation, Image.Transpose] = {  # what turns a face of that rotation upright
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


class View(Protocol):
    """An upright RGB picture at several sizes."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` is one of FACTORS."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A view with a grey border around it."""

    inner: View
    border: int  # px

    @classmethod
    def of(cls, inner: View) -> "Framed":
        """Frame a view in a border that suits its size; framed it has at most 3 times its area."""
        coarsest = FACTORS[0]
        return cls(inner, border_px(inner.size) // coarsest * coarsest or border_px(inner.size))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.inner.size[0] + 2 * self.border, self.inner.size[1] + 2 * self.border

    def at(self, factor: int) -> Image.Image:
        """See View."""
        return ImageOps.expand(self.inner.at(factor), self.border // factor, BORDER_GREY)

    def back(self, face: Face) -> Face:
        """The face where it lies in the view inside."""
        return moved(face, -self.border)


@dataclass(frozen=True, slots=True)
class Turned:
    """A view turned so that a face of that rotation stands upright in it."""

    inner: View
    rotation: Rotation  # 90, 180 or 270

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        width, height = self.inner.size
        return (width, height) if self.rotation == 180 else (height, width)  # noqa: PLR2004 - the half turn

    def at(self, factor: int) -> Image.Image:
        """See View."""
        return self.inner.at(factor).transpose(_BACK[self.rotation])

    def back(self, face: Face) -> Face:
        """The face where it lies in the view inside, which names how it is turned."""
        corners = (
            self._point((face.box.x, face.box.y)),
            self._point((face.box.x + face.box.width, face.box.y + face.box.height)),
        )
        (left, right), (top, bottom) = sorted(x for x, _ in corners), sorted(y for _, y in corners)
        landmarks = tuple(self._point(point) for point in face.landmarks)
        return Face(Box(left, top, right - left, bottom - top), landmarks, face.score, self.rotation)

    def _point(self, point: Point) -> Point:
        (x, y), (width, height) = point, self.inner.size
        if self.rotation == 90:  # noqa: PLR2004 - the quarter turn
            return width - y, x
        return (width - x, height - y) if self.rotation == 180 else (y, height - x)  # noqa: PLR2004 - the half turn


def border_px(size: tuple[int, int]) -> int:
    """Width of the border around a picture of that size, in px; the framed picture has at most 3 times its area."""
    return int(BORDER_SHARE * min(max(size), MAX_ASPECT * min(size)))


def moved(face: Face, by: int) -> Face:
    """The face, moved to the right and down by so many px."""
    box = Box(face.box.x + by, face.box.y + by, face.box.width, face.box.height)
    landmarks: tuple[Point, ...] = tuple((x + by, y + by) for x, y in face.landmarks)
    return Face(box, landmarks, face.score, face.rotation)
