"""Arithmetic on boxes, n at a time, as arrays (n, 4) of left, top, right, bottom in px."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

_AT_A_TIME = 512  # boxes compared each with each; bounds memory


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


def suppressed(
    boxes: Floats, scores: Floats, limit: float, *, groups: Indices | None = None, over_smaller: bool = False
) -> Indices:
    """Indices of the boxes left by non-maximum suppression, best score first.

    A box falls when its overlap with a better one of its group, (n,) or one for all, exceeds `limit`: intersection over
    union; or over the smaller box, where sizes count both border pixels.
    """
    order = np.argsort(-scores, kind="stable")
    if limit >= 1 or len(order) <= 1:  # nothing overlaps by more than itself
        return order

    def clashing(ones: Indices, others: Indices) -> Flags:
        overlapping = _overlapping(boxes[ones], boxes[others], limit, over_smaller=over_smaller)
        return overlapping if groups is None else overlapping & (groups[ones][:, None] == groups[others])

    kept = order[:0]
    for start in range(0, len(order), _AT_A_TIME):
        rest = order[start : start + _AT_A_TIME]
        if len(kept):
            rest = rest[~clashing(kept, rest).any(axis=0)]
        kept = np.concatenate([kept, rest[_best_first(clashing(rest, rest))]])
    return kept


def _best_first(clashing: Flags) -> list[int]:
    """Which of n boxes stay, the best being the first: each strikes out all that it clashes with."""
    standing = np.ones(len(clashing), np.bool_)
    kept = []
    while standing.any():
        place = int(standing.argmax())
        kept.append(place)
        standing &= ~clashing[place]
        standing[place] = False
    return kept


def _overlapping(ones: Floats, others: Floats, limit: float, *, over_smaller: bool) -> Flags:
    """Whether each of n boxes overlaps each of m by more than the limit: (n, m)."""
    inclusive = 1 if over_smaller else 0
    (left, top, right, bottom), (lefts, tops, rights, bottoms) = ones.T[..., None], others.T[:, None]
    width = np.maximum(np.minimum(right, rights) - np.maximum(left, lefts) + inclusive, 0)
    intersection = width * np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops) + inclusive, 0)
    area, areas = _areas(ones, inclusive)[:, None], _areas(others, inclusive)[None]
    whole = np.minimum(area, areas) if over_smaller else area + areas - intersection
    return np.asarray(intersection > limit * whole)


def _areas(boxes: Floats, inclusive: int) -> Floats:
    return (boxes[:, 2] - boxes[:, 0] + inclusive) * (boxes[:, 3] - boxes[:, 1] + inclusive)
