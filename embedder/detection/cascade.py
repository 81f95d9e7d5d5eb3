"""The MTCNN cascade: proposals over a pyramid of scales, refined, then judged with landmarks.

Source: Zhang et al. 2016, with the thresholds that facenet-pytorch uses. One picture in, all its faces out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..runtime.runtime import DetectionPasses
from ..types import Box, Face
from .boxes import Floats, corrected, squared, suppressed

_CELL, _STRIDE = 12, 2  # px that an output cell of the proposal network looks at, and how far cells are apart
_REFINE_SIZE, _OUTPUT_SIZE = 24, 48
_SUPPRESS_IN_SCALE, _SUPPRESS = 0.5, 0.7


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """How small a face is looked for, and how sure each network must be."""

    min_face_px: float = 20.0
    min_face_share: float = 0.02  # of the picture's longer side: bounds the work on a large picture
    scale_step: float = 0.709
    min_scores: tuple[float, float, float] = (0.6, 0.7, 0.7)


class Cascade:
    """The three networks with their settings. Safe to call from several threads."""

    def __init__(self, networks: DetectionPasses, settings: CascadeSettings) -> None:
        self._networks = networks
        self._settings = settings

    def __call__(self, picture: Image.Image) -> list[Face]:
        """Find all faces of an upright RGB picture, largest first."""
        boxes = self._proposals(picture)
        boxes = self._refined(picture, boxes)
        faces = self._judged(picture, boxes)
        return sorted(faces, key=lambda face: face.box.area, reverse=True)

    def _proposals(self, picture: Image.Image) -> Floats:
        found = [self._proposals_at(picture, scale) for scale in self._scales(picture)]
        boxes, scores, corrections = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _NOTHING
        kept = suppressed(boxes, scores, _SUPPRESS)
        return squared(corrected(boxes[kept], corrections[kept], inclusive=0))

    def _scales(self, picture: Image.Image) -> list[float]:
        settings = self._settings
        scale = _CELL / max(settings.min_face_px, settings.min_face_share * max(picture.size))
        scales = []
        while min(picture.size) * scale >= _CELL:
            scales.append(scale)
            scale *= settings.scale_step
        return scales

    def _proposals_at(self, picture: Image.Image, scale: float) -> tuple[Floats, Floats, Floats]:
        size = int(picture.width * scale + 1), int(picture.height * scale + 1)
        scores, corrections = self._networks.proposal(_resized(picture, size)[None])
        rows, columns = np.nonzero(scores[0] >= self._settings.min_scores[0])
        corners = _STRIDE * np.stack([columns, rows], axis=1)
        boxes = np.floor(np.concatenate([corners + 1, corners + _CELL], axis=1) / scale).astype(np.float32)
        picked, score = corrections[0][:, rows, columns].T, scores[0][rows, columns]
        kept = suppressed(boxes, score, _SUPPRESS_IN_SCALE)
        return boxes[kept], score[kept], picked[kept]

    def _refined(self, picture: Image.Image, boxes: Floats) -> Floats:
        boxes, crops = _crops(picture, boxes, _REFINE_SIZE)
        if not len(boxes):
            return boxes
        scores, corrections = self._networks.refinement(crops)
        sure = scores > self._settings.min_scores[1]
        boxes, scores, corrections = boxes[sure], scores[sure], corrections[sure]
        kept = suppressed(boxes, scores, _SUPPRESS)
        return squared(corrected(boxes[kept], corrections[kept], inclusive=1))

    def _judged(self, picture: Image.Image, boxes: Floats) -> list[Face]:
        boxes, crops = _crops(picture, boxes, _OUTPUT_SIZE)
        if not len(boxes):
            return []
        scores, corrections, shares = self._networks.output(crops)
        sure = scores > self._settings.min_scores[2]
        boxes, scores, landmarks = boxes[sure], scores[sure], _landmarks(boxes[sure], shares[sure])
        boxes = corrected(boxes, corrections[sure], inclusive=1)
        kept = suppressed(boxes, scores, _SUPPRESS, over_smaller=True)
        return [_face(boxes[i], landmarks[i], scores[i]) for i in kept]


_NOTHING = (np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 4), np.float32))


def _resized(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _crops(picture: Image.Image, boxes: Floats, size: int) -> tuple[Floats, NDArray[np.uint8]]:
    """Cut each box, clipped to the picture, to size x size. Boxes that lie outside it are left out."""
    corners = np.trunc(boxes)
    left_top = np.maximum(corners[:, :2], 1) - 1
    right_bottom = np.minimum(corners[:, 2:], picture.size)
    inside = (right_bottom > left_top).all(axis=1)
    windows = np.concatenate([left_top, right_bottom], axis=1)[inside].tolist()
    crops = [np.asarray(picture.resize((size, size), Image.Resampling.BOX, box=tuple(window))) for window in windows]
    return boxes[inside], np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8)


def _landmarks(boxes: Floats, shares: Floats) -> Floats:
    """Landmarks (n, 5, 2) in px from shares (n, 10) of the box: 5 x, then 5 y."""
    size = boxes[:, 2:] - boxes[:, :2] + 1
    points = shares.reshape(-1, 2, 5).transpose(0, 2, 1)
    return points * size[:, None] + boxes[:, None, :2] - 1


def _face(box: Floats, landmarks: Floats, score: np.float32) -> Face:
    left, top, right, bottom = (float(edge) for edge in box)
    points = tuple((float(x), float(y)) for x, y in landmarks)
    return Face(Box(left, top, right - left, bottom - top), points, float(score))
