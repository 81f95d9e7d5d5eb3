"""The five landmarks of faces whose boxes are known, by MTCNN's third network (facenet-pytorch's weights, MIT).

Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
Embeddings of faces aligned by YuNet's own landmarks are told apart less well: see docs/why.md.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..image import factor_for
from ..types import Pass, Pixels, Point
from .detector import Picture
from .yunet import Candidates, Floats

SIDE_PX = 48  # of the square that the network looks at
_TWICE = 2 * SIDE_PX  # a larger square is first cut at this size, then averaged
_AT_A_TIME = 32  # squares a pass; bounds memory


def landmarks_of(network: Pass, photo: Picture, found: Candidates) -> list[tuple[Point, ...]]:
    """Five landmarks of each face, in px of the photo, (0, 0) being the corner of its first pixel."""
    squares = [_Square.around(box, angle) for box, angle in zip(found.boxes, found.angles, strict=True)]
    pieces = [square.cut(photo) for square in squares]
    shares = [
        row
        for start in range(0, len(pieces), _AT_A_TIME)
        for row in network(np.stack(pieces[start : start + _AT_A_TIME]))[0]
    ]
    return [square.points(row) for square, row in zip(squares, shares, strict=True)]


class _Square:
    """A square of a photo, which may lie turned."""

    def __init__(self, middle: complex, across: complex) -> None:
        """`across` leads from its top left corner to its top right one, in px of the photo."""
        self._middle, self._across = middle, across

    @classmethod
    def around(cls, box: Floats, angle: float) -> "_Square":
        """The square of a box's longer side around its middle."""
        left, top, right, bottom = box.tolist()
        side = max(right - left, bottom - top)
        return cls(complex(left + right, top + bottom) / 2, side * np.exp(1j * np.radians(angle)))

    def cut(self, photo: Picture) -> Pixels:
        """The square as the network sees it, (48, 48, 3); black outside the photo."""
        factor = factor_for(abs(self._across) / _TWICE)
        picture, middle, across = photo.at(factor), self._middle / factor, self._across / factor
        if abs(across) <= _TWICE:
            return np.asarray(_cut(picture, middle, across, SIDE_PX))
        return np.asarray(_cut(picture, middle, across, _TWICE).reduce(2))

    def points(self, shares: Floats) -> tuple[Point, ...]:
        """Landmarks in px of the photo from shares (10,) of the square's side: 5 x, then 5 y."""
        places = self._middle + (shares[:5] - 0.5 + 1j * (shares[5:] - 0.5)) * self._across
        return tuple((float(place.real), float(place.imag)) for place in places)


def _cut(picture: Image.Image, middle: complex, across: complex, side: int) -> Image.Image:
    step = across / side
    corner = middle - across * (1 + 1j) / 2
    matrix: Sequence[float] = (step.real, -step.imag, corner.real, step.imag, step.real, corner.imag)
    return picture.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
