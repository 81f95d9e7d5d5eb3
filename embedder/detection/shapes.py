"""Few passes, over inputs of few sizes: each pass costs 0.1 ms before it computes, and each size that is new 1.5 ms."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..runtime.runtime import Pass
from ..turn import given_up
from .pyramid import CELL_PX, Crops, Pixels

STRIDE_PX = 2  # from one cell of the proposal network to the next
_GRID_PX = 16  # the sides of what it is given are multiples of that
_GREY = 127
_MIDDLE = 127.5
_MOST_AT_A_TIME = 32

Arrays = tuple[NDArray[np.float32], ...]
Place = tuple[int, int]  # left, top


def over_levels(proposal: Pass, levels: Sequence[Pixels]) -> list[Arrays]:
    """Run the proposal network once over levels (height, width, 3), the largest first, laid out side by side.

    For each: scores (rows, columns), corrections (4, rows, columns). Only cells that lie in one level are looked at, so
    they are what each level would give by itself. One that is alone gives also the cells that reach beyond its edge.
    """
    if len(levels) == 1:
        scores, corrections = _run(proposal, levels[0][None])
        return [(scores[0], corrections[0])]
    places = layout([level.shape for level in levels])
    canvas = np.full((1, *_canvas_size(levels, places), 3), _GREY, levels[0].dtype)
    for level, (left, top) in zip(levels, places, strict=True):
        canvas[0, top : top + level.shape[0], left : left + level.shape[1]] = level
    scores, corrections = _run(proposal, canvas)
    windows = [_cells(level, place) for level, place in zip(levels, places, strict=True)]
    return [(scores[0][window], corrections[0][:, *window]) for window in windows]


def layout(sizes: Sequence[tuple[int, ...]]) -> list[Place]:
    """Where to lay levels of (height, width, ...), each 0.7 as large as the one before, so that little is left free.

    Three columns: the first level; the second above a row of the fifth and all that follow; the third above the fourth.
    """
    (heights, widths) = ([_even(size[side]) for size in sizes] for side in (0, 1))
    second = sum(widths[:1])
    third = second + max([*widths[1:2], sum(widths[4:])])
    places = [(0, 0), (second, 0), (third, 0), (third, sum(heights[2:3]))]
    row = [(second + sum(widths[4:number]), sum(heights[1:2])) for number in range(4, len(sizes))]
    return [*places, *row][: len(sizes)]


def over_crops(network: Pass, crops: Crops) -> Arrays:
    """Run a network over n crops, n at least 1, so many at a time: what it gives for each, (n, ...)."""
    passes = [_run(network, crops[start : start + _MOST_AT_A_TIME]) for start in range(0, len(crops), _MOST_AT_A_TIME)]
    return passes[0] if len(passes) == 1 else tuple(np.concatenate(outputs) for outputs in zip(*passes, strict=True))


def _run(network: Pass, pixels: Pixels | Crops) -> Arrays:
    """Run a network over pixels of 0 to 255. It takes them centred; to do that itself, it needs ten times as long."""
    centred = np.subtract(pixels, _MIDDLE, dtype=np.float32)
    with given_up():
        return network(centred)


def _canvas_size(levels: Sequence[Pixels], places: Sequence[Place]) -> tuple[int, int]:
    """Height and width."""
    bottoms = [top + level.shape[0] for level, (_, top) in zip(levels, places, strict=True)]
    rights = [left + level.shape[1] for level, (left, _) in zip(levels, places, strict=True)]
    return _rounded_up(max(bottoms)), _rounded_up(max(rights))


def _cells(level: Pixels, place: Place) -> tuple[slice, slice]:
    """Rows and columns of the cells that look at this level only."""
    left, top = (side // STRIDE_PX for side in place)
    rows, columns = (max(0, (side - CELL_PX) // STRIDE_PX + 1) for side in level.shape[:2])
    return slice(top, top + rows), slice(left, left + columns)


def _even(side: int) -> int:
    return side + side % STRIDE_PX


def _rounded_up(side: int) -> int:
    return -(-side // _GRID_PX) * _GRID_PX
