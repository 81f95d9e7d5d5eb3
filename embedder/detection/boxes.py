"""Arithmetic on boxes, n at a time, as arrays (n, 4) of left, top, right, bottom in px."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.intp]


def corrected(boxes: Floats, corrections: Floats, *, inclusive: float) -> Floats:
    """Move each edge by its correction, in box sizes. `inclusive` is 1 where sizes count both border pixels, else 0."""
    size = boxes[:, 2:] - boxes[:, :2] + inclusive  # (n, 2)
    return np.asarray(boxes + corrections * np.concatenate([size, size], axis=1))


def squared(boxes: Floats) -> Floats:
    """The square around each box's centre whose side is the box's longer one."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + (size - side) / 2
    return np.concatenate([corner, corner + side], axis=1)


def suppressed(boxes: Floats, scores: Floats, limit: float, *, over_smaller: bool = False) -> Indices:
    """Indices of the boxes left by non-maximum suppression, best score first.

    A box falls when its overlap with a better one exceeds `limit`: intersection over union, or over the smaller box.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[_overlap(boxes[best], boxes[rest], over_smaller=over_smaller) <= limit]
    return np.asarray(kept, dtype=np.intp)


def _overlap(box: Floats, others: Floats, *, over_smaller: bool) -> Floats:
    corner = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    intersection = np.maximum(corner, 0).prod(axis=1)
    area, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    whole = np.minimum(area, areas) if over_smaller else area + areas - intersection
    return np.asarray(intersection / np.maximum(whole, np.finfo(np.float32).tiny))
