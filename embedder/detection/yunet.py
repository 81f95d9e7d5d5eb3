"""The two networks of the detector: YuNet finds boxes of faces, O-Net five landmarks for each; arithmetic on boxes.

The smallest canvas has a border, because detectors miss faces in tight crops without surroundings. Every photo gets it,
so that all photos are processed in the same way. Canvases are square, because a network is slow on a picture whose
shape differs from that of the previous one.

Source: Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; OpenCV Zoo's weights (MIT).

Source: Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks", 2016.
Alignment by YuNet's own landmarks gives less accurate embeddings: see docs/why.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, hypot

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..deadline import begin_step
from ..types import Pass, Picture, Pixels, Point

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Clash = Callable[[Floats, Floats, float], Flags]  # as `iou_above`

_AT_A_TIME = 512  # boxes compared pairwise; bounds memory
MAX_FACES = 1500  # in one search; the time for a picture that seems to consist of faces grows with their square


def areas(boxes: Floats) -> Floats:
    """Area of each box, (n,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def non_maximum_suppression(boxes: Floats, scores: Floats, limit: float, clash: Clash | None = None) -> Indices:
    """Indices of the boxes kept by non-maximum suppression, best score first, MAX_FACES at most.

    A box is removed if it clashes with a better one. The default `clash` is `iou_above`.
    """
    clash = clash or iou_above
    order = np.argsort(-scores, kind="stable")
    kept = order[:0]
    for start in range(0, len(order), _AT_A_TIME):
        rest = order[start : start + _AT_A_TIME]
        if len(kept) >= MAX_FACES:
            break
        if len(kept):
            rest = rest[~clash(boxes[kept], boxes[rest], limit).any(axis=0)]
        kept = np.concatenate([kept, rest[_best_first(clash(boxes[rest], boxes[rest], limit))]])
    return kept[:MAX_FACES]


def iou_above(ones: Floats, others: Floats, limit: float) -> Flags:
    """Whether the intersection of each of n boxes with each of m exceeds `limit` of their union: (n, m)."""
    intersection = _intersections(ones, others)
    union = areas(ones)[:, None] + areas(others)[None] - intersection
    return np.asarray(intersection > limit * union)


def containment_above(ones: Floats, others: Floats, limit: float) -> Flags:
    """Whether the intersection of each of n boxes with each of m exceeds `limit` of the smaller one: (n, m)."""
    smaller = np.minimum(areas(ones)[:, None], areas(others)[None])
    return np.asarray(_intersections(ones, others) > limit * smaller)


def _intersections(ones: Floats, others: Floats) -> Floats:
    (left, top, right, bottom), (lefts, tops, rights, bottoms) = ones.T[..., None], others.T[:, None]
    width = np.maximum(np.minimum(right, rights) - np.maximum(left, lefts), 0)
    return np.asarray(width * np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops), 0))


def _best_first(clashing: Flags) -> list[int]:
    """Indices of the boxes kept, from boxes sorted best first: each removes the later ones that it clashes with."""
    standing = np.ones(len(clashing), np.bool_)
    kept = []
    while standing.any():
        place = int(standing.argmax())
        kept.append(place)
        standing &= ~clashing[place]
        standing[place] = False
    return kept


MULTIPLE_PX = 32  # a picture's sides are multiples of this
STRIDES_PX = (8, 16, 32)  # px per cell of each output grid
MIN_SCORE = 0.6  # most detections below it are false
MAX_OVERLAP = 0.3  # of two faces: intersection over union


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n detections, with boxes in px of the picture in which they were found."""

    boxes: Floats  # (n, 4): left, top, right, bottom
    scores: Floats  # (n,) above 0, at most 1
    angles: Floats  # (n,) clockwise rotation of the face, degrees, that was undone before detection

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, places: Indices | Flags) -> "Candidates":
        """Return the candidates at these positions or flags."""
        return Candidates(self.boxes[places], self.scores[places], self.angles[places])

    def and_also(self, more: "Candidates") -> "Candidates":
        """Return these candidates and `more`."""
        pairs = ((self.boxes, more.boxes), (self.scores, more.scores), (self.angles, more.angles))
        return Candidates(*(np.concatenate(pair) for pair in pairs))

    def without_doubles(self) -> "Candidates":
        """Return each face once, with its highest score; best first."""
        return self.at(non_maximum_suppression(self.boxes, self.scores, MAX_OVERLAP)) if len(self) else self


def candidates(network: Pass, picture: Pixels, *, angle: float = 0.0, min_score: float = MIN_SCORE) -> Candidates:
    """Find faces, each once, in an RGB picture (height, width, 3) whose sides are multiples of MULTIPLE_PX."""
    begin_step()
    scores, offsets = network(picture[None])
    cells = np.flatnonzero(scores[0] >= min_score)
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


BORDER_SHARE = 0.2  # width of the border, as a share of the picture's longer side
GREY = (127, 127, 127)
_GAP = 2.0  # least ratio of a reduced picture to its final size; the box average is then accurate enough
_SLACK = 4  # px; a picture with an odd side is off centre by half a pixel, and rotation blurs its edge


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A resized photo, to be centred on a square grey canvas."""

    picture: Image.Image  # the photo, shrunk
    scales: tuple[float, float]  # px of the canvas per px of the photo: horizontal, vertical
    border: int  # px of the canvas; the least border at both ends of the photo's longer side

    @classmethod
    def of(cls, photo: Picture, side: int, border: int) -> "Canvas":
        """Resize a photo so that its longer side is `side`, and add a border around it, both in px."""
        width, height = photo.size
        scale = side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        larger = photo.at(photo.factor_for(1 / (_GAP * scale)))
        kind = Image.Resampling.BOX if larger.width >= size[0] else Image.Resampling.BILINEAR
        return cls(larger.resize(size, kind, reducing_gap=_GAP), (size[0] / width, size[1] / height), border)

    def without_border(self) -> "Canvas":
        """The same picture on a canvas that ends where the picture ends."""
        return Canvas(self.picture, self.scales, 0)

    def pixels(self, angle: int = 0) -> Pixels:
        """The canvas (side, side, 3), rotated so that a face rotated clockwise by `angle` degrees becomes upright."""
        side = self._side(angle)
        canvas = Image.new("RGB", (side, side), GREY)
        canvas.paste(self.picture, self._corner(side))
        return np.asarray(canvas.rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY) if angle else canvas)

    def to_photo(self, found: Candidates) -> Candidates:
        """Map candidates from the canvas to the photo; boxes keep their size and remain axis-aligned."""
        if not len(found):
            return found
        boxes = self._upright(found.boxes, float(found.angles[0]))
        return Candidates(boxes / np.array(self.scales * 2), found.scores, found.angles)

    def _side(self, angle: int) -> int:
        """The canvas's side in px; a rotated canvas is large enough that nothing is cut off.

        A canvas without a border is only rotated by quarter turns, and those need no more room.
        """
        least = max(self.picture.size) + 2 * self.border
        if angle and self.border:
            least = max(least, ceil(hypot(*self.picture.size)) + _SLACK)
        return ceil(least / MULTIPLE_PX) * MULTIPLE_PX

    def _corner(self, side: int) -> tuple[int, int]:
        return (side - self.picture.width) // 2, (side - self.picture.height) // 2

    def _upright(self, boxes: Floats, angle: float) -> Floats:
        """Map boxes from px of the rotated canvas to px of the resized photo."""
        side = self._side(round(angle))
        middle, corner = complex(side, side) / 2, complex(*self._corner(side))
        centers = (boxes[:, 0] + boxes[:, 2] + 1j * (boxes[:, 1] + boxes[:, 3])) / 2
        centers = (centers - middle) * np.exp(1j * np.radians(angle)) + middle - corner
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        if round(angle / 90) % 2:
            half = half[:, ::-1]
        center = np.stack([centers.real, centers.imag], axis=1)
        return np.concatenate([center - half, center + half], axis=1)


SIDE_PX = 48  # of the network's square input
_TWICE = 2 * SIDE_PX  # a larger square is first cut at this size, then averaged
_FACES_AT_A_TIME = 32  # squares per pass; bounds memory


def landmarks_of(network: Pass, photo: Picture, found: Candidates) -> list[tuple[Point, ...]]:
    """Five landmarks of each face, in px of the photo; (0, 0) is the corner of its first pixel."""
    squares = [_Square.around(box, angle) for box, angle in zip(found.boxes, found.angles, strict=True)]
    pieces = [square.cut(photo) for square in squares]
    shares = [
        row
        for start in range(0, len(pieces), _FACES_AT_A_TIME)
        for row in network(np.stack(pieces[start : start + _FACES_AT_A_TIME]))[0]
    ]
    return [square.points(row) for square, row in zip(squares, shares, strict=True)]


class _Square:
    """A square region of a photo, possibly rotated."""

    def __init__(self, middle: complex, across: complex) -> None:
        """`across` is the vector from the top left to the top right corner, in px of the photo."""
        self._middle, self._across = middle, across

    @classmethod
    def around(cls, box: Floats, angle: float) -> "_Square":
        """The square around a box's centre with the box's longer side."""
        left, top, right, bottom = box.tolist()
        side = max(right - left, bottom - top)
        return cls(complex(left + right, top + bottom) / 2, side * np.exp(1j * np.radians(angle)))

    def cut(self, photo: Picture) -> Pixels:
        """Cut the square to the network's input, (48, 48, 3); black outside the photo."""
        begin_step()
        factor = photo.factor_for(abs(self._across) / _TWICE)
        picture, middle, across = photo.at(factor), self._middle / factor, self._across / factor
        if abs(across) <= _TWICE:
            return np.asarray(_cut(picture, middle, across, SIDE_PX))
        return np.asarray(_cut(picture, middle, across, _TWICE).reduce(2))

    def points(self, shares: Floats) -> tuple[Point, ...]:
        """Map landmarks from shares (10,) of the square's side (5 x, then 5 y) to px of the photo."""
        places = self._middle + (shares[:5] - 0.5 + 1j * (shares[5:] - 0.5)) * self._across
        return tuple((float(place.real), float(place.imag)) for place in places)


def _cut(picture: Image.Image, middle: complex, across: complex, side: int) -> Image.Image:
    step = across / side
    corner = middle - across * (1 + 1j) / 2
    matrix: Sequence[float] = (step.real, -step.imag, corner.real, step.imag, step.real, corner.imag)
    return picture.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
