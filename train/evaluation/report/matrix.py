"""FMR across every two groups as a matrix: whose photos pass for whose."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ..groups import GroupCell, GroupReport
from ..tally import Floats
from .canvas import FAINT, GRID, INK, SMALL, WIDTH, Plot, as_picture, paper
from .forest import short

REACH = 3.0  # doublings of the FMR of all, either way, to the end of the colours


def matrix(found: GroupReport) -> Plot:
    """Draw the FMR of each cell; its colour is how many times that of all it is, where there is enough to say."""
    n = len(found.names)
    figure = paper(min(1.6 + 0.62 * n, WIDTH))
    axes = figure.subplots()
    image = axes.imshow(_doublings(found), cmap="PuOr_r", norm=TwoSlopeNorm(0, -REACH, REACH), aspect="auto")
    axes.patch.set(facecolor="white", hatch="////", edgecolor=GRID)  # seen where a cell has no colour
    names = [short(name) for name in found.names]
    axes.set_xticks(range(n), names, fontsize=SMALL, rotation=40 if n > 3 else 0, color=INK)  # noqa: PLR2004 - room
    axes.set_yticks(range(n), names, fontsize=SMALL, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for cell in found.cells:
        _write(axes, cell, found)
    marks = np.arange(-REACH, REACH + 1)
    bar = figure.colorbar(image, ax=axes, ticks=marks, pad=0.02)
    bar.ax.set_yticklabels([_fold(mark) for mark in marks.tolist()], fontsize=SMALL, color=INK)
    bar.ax.tick_params(length=0)
    bar.set_label("times the FMR of all", fontsize=SMALL, color=INK)
    bar.outline.set_edgecolor(GRID)
    return as_picture(figure, "groups_across", "FMR across every two groups, and how many times that of all it is")


def _fold(doublings: float) -> str:
    return f"{2**doublings:.0f}" if doublings >= 0 else f"1/{2**-doublings:.0f}"


def _doublings(found: GroupReport) -> Floats:
    """How often the FMR of all is to be doubled for each cell's: (g, g), NaN where there is too little to say."""
    cells = np.full((len(found.names), len(found.names)), np.nan)
    for cell in found.cells:
        if cell.fmr.times.value is not None:
            doublings = np.clip(np.log2(max(cell.fmr.times.value, 2**-REACH)), -REACH, REACH)
            for row, column in _places(cell, found):
                cells[row, column] = doublings
    return cells


def _places(cell: GroupCell, found: GroupReport) -> set[tuple[int, int]]:
    first, second = found.names.index(cell.first), found.names.index(cell.second)
    return {(first, second), (second, first)}


def _write(axes: Axes, cell: GroupCell, found: GroupReport) -> None:
    times = cell.fmr.times.value
    is_dark = times is not None and abs(np.log2(max(times, 2**-REACH))) > REACH * 0.6
    colour = FAINT if times is None else "white" if is_dark else INK
    text = "none" if cell.fmr.rate.value is None else _brief(cell.fmr.rate.value)
    for row, column in _places(cell, found):
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=_size(len(found.names)))


def _brief(share: float) -> str:
    """Return a percentage of two digits; the table beside the picture has the third."""
    return np.format_float_positional(100 * share, precision=2, fractional=False, trim="-") + "%"


def _size(n_groups: int) -> float:
    """Return a size in points at which such a percentage fits into its cell."""
    return min(SMALL + 1, 75 / n_groups)
