"""Arithmetic on boxes, n at a time, as arrays (n, 4) of left, top, right, bottom in px."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]
Clash = Callable[[Floats, Floats, float], Flags]  # as `overlapping`

_AT_A_TIME = 512  # boxes compared each with each; bounds memory


def areas(boxes: Floats) -> Floats:
    """Area of each box, (n,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def suppressed(boxes: Floats, scores: Floats, limit: float, clash: Clash | None = None) -> Indices:
    """Indices of the boxes left by non-maximum suppression, best score first.

    A box falls when it clashes with a better one, which is by default: when it is `overlapping` with it.
    """
    clash = clash or overlapping
    order = np.argsort(-scores, kind="stable")
    kept = order[:0]
    for start in range(0, len(order), _AT_A_TIME):
        rest = order[start : start + _AT_A_TIME]
        if len(kept):
            rest = rest[~clash(boxes[kept], boxes[rest], limit).any(axis=0)]
        kept = np.concatenate([kept, rest[_best_first(clash(boxes[rest], boxes[rest], limit))]])
    return kept


def overlapping(ones: Floats, others: Floats, limit: float) -> Flags:
    """Whether each of n boxes intersects each of m in more than `limit` of their union: (n, m)."""
    intersection = _intersections(ones, others)
    union = areas(ones)[:, None] + areas(others)[None] - intersection
    return np.asarray(intersection > limit * union)


def nested(ones: Floats, others: Floats, limit: float) -> Flags:
    """Whether each of n boxes intersects each of m in more than `limit` of the smaller of the two: (n, m)."""
    smaller = np.minimum(areas(ones)[:, None], areas(others)[None])
    return np.asarray(_intersections(ones, others) > limit * smaller)


def _intersections(ones: Floats, others: Floats) -> Floats:
    (left, top, right, bottom), (lefts, tops, rights, bottoms) = ones.T[..., None], others.T[:, None]
    width = np.maximum(np.minimum(right, rights) - np.maximum(left, lefts), 0)
    return np.asarray(width * np.maximum(np.minimum(bottom, bottoms) - np.maximum(top, tops), 0))


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
