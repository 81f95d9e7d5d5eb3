"""Finds the faces of a picture, tight crops included.

Where a face fills the picture, with forehead or chin cut off, the cascade finds a wrong or skewed face without
complaint. So when the largest face comes near the edge, or none is found, a border is added and the search repeated;
ordinary pictures do not pay for it.
"""

from PIL import Image, ImageOps

from ..types import Box, Face, Point
from .cascade import Cascade

BORDER_SHARE = 0.25  # of the picture's longer side, on every side
MAX_ASPECT = 2  # no face is longer than that; in a longer picture the border follows the shorter side, to bound memory
BORDER_GREY = (127, 127, 127)
NEAR_EDGE_SHARE = 0.1  # of the face's own size


class FaceFinder:
    """The cascade behind the border rule. Safe to call from several threads."""

    def __init__(self, cascade: Cascade) -> None:
        self._cascade = cascade

    def __call__(self, picture: Image.Image) -> list[Face]:
        """All faces of an upright RGB picture, largest first."""
        faces = self._cascade(picture)
        if faces and not _is_near_edge(faces[0].box, picture.size):
            return faces
        return self._with_border(picture) or faces

    def _with_border(self, picture: Image.Image) -> list[Face]:
        border = border_px(picture.size)
        framed = ImageOps.expand(picture, border, BORDER_GREY)
        return [_moved(face, -border) for face in self._cascade(framed)]


def border_px(size: tuple[int, int]) -> int:
    """Width of the border around a picture of that size, in px; the framed picture has at most 3 times its area."""
    return int(BORDER_SHARE * min(max(size), MAX_ASPECT * min(size)))


def _is_near_edge(box: Box, size: tuple[int, int]) -> bool:
    margin_x, margin_y = NEAR_EDGE_SHARE * box.width, NEAR_EDGE_SHARE * box.height
    return (
        box.x < margin_x
        or box.y < margin_y
        or box.x + box.width > size[0] - margin_x
        or box.y + box.height > size[1] - margin_y
    )


def _moved(face: Face, by: int) -> Face:
    box = Box(face.box.x + by, face.box.y + by, face.box.width, face.box.height)
    landmarks: tuple[Point, ...] = tuple((x + by, y + by) for x, y in face.landmarks)
    return Face(box, landmarks, face.score)
