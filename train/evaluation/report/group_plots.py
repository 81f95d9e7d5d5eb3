"""Error rates by group as a forest plot, and FMR across every two groups as a matrix."""

from collections.abc import Iterable
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ..groups import GroupCell, GroupRate, GroupReport
from ..metrics import Floats
from ..results import rate_text
from .plot import BLUE, FAINT, GRID, INK, ORANGE, SMALL, TEXT, WIDTH, Plot, as_picture, logarithmic, paper, plain

ROW = 0.42  # inches
NAME = 18  # characters per line


def forest(found: GroupReport) -> Plot:
    """Draw FMR and FNMR within each group."""
    figure = paper(1.5 + ROW * len(found.names))
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, [cell.fmr for cell in found.within], found.overall.fmr, "FMR")
    _panel(right, [cell.fnmr for cell in found.within], found.overall.fnmr, "FNMR")
    left.set_yticks(range(len(found.names)), [short(name) for name in found.names], fontsize=TEXT)
    left.set_ylim(len(found.names) - 0.4, -0.6)
    return as_picture(figure, "groups", "FMR and FNMR of each group with 95% intervals, beside those of all")


def _panel(axes: Axes, rates: list[GroupRate], of_all: GroupRate, name: str) -> None:
    positive = [end for each in (*rates, of_all) for end in _ends(each) if end > 0]
    plain(axes, f"{name} within the group", "")
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    least, most = min(positive, default=0.01) / 1.5, max(positive, default=1.0) * 1.5
    axes.set_xlim(least, most)
    logarithmic(axes.xaxis, (least, most), rate_text)
    if of_all.rate.value and of_all.rate.interval:
        axes.axvspan(*of_all.rate.interval, color=FAINT, alpha=0.15, linewidth=0)
        axes.axvline(of_all.rate.value, color=FAINT, linewidth=1)
    for row, each in enumerate(rates):
        _row(axes, row, each, least)


def _ends(found: GroupRate) -> Iterable[float]:
    return (found.rate.value or 0.0, *(found.rate.interval or ()))


def _row(axes: Axes, row: int, found: GroupRate, least: float) -> None:
    """Draw a group's rate: filled if there is a verdict, orange if the group differs."""
    if found.rate.value is None or found.rate.interval is None:
        return
    low, high = found.rate.interval
    colour = {True: ORANGE, False: BLUE, None: FAINT}[found.differs]
    axes.plot([max(low, least), high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
    face = colour if found.differs is not None else "white"
    marker = "o" if found.rate.value else "<"  # a logarithmic axis has no 0
    axes.plot(
        max(found.rate.value, least), row, marker, color=colour, markerfacecolor=face, markersize=7, clip_on=False
    )


def short(name: str) -> str:
    """Wrap a name to at most two lines."""
    return "\n".join(wrap(name, NAME, max_lines=2, placeholder="…"))


REACH = 3.0  # range of the colours, in doublings of the FMR of all


def matrix(found: GroupReport) -> Plot:
    """Draw the FMR of each cell, coloured by its ratio to the FMR of all; without colour for too little data."""
    n = len(found.names)
    figure = paper(min(1.6 + 0.62 * n, WIDTH))
    axes = figure.subplots()
    image = axes.imshow(_doublings(found), cmap="PuOr_r", norm=TwoSlopeNorm(0, -REACH, REACH), aspect="auto")
    axes.patch.set(facecolor="white", hatch="////", edgecolor=GRID)  # visible in cells without colour
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
    return as_picture(figure, "groups_across", "FMR across every two groups, and its ratio to the FMR of all")


def _fold(doublings: float) -> str:
    return f"{2**doublings:.0f}" if doublings >= 0 else f"1/{2**-doublings:.0f}"


def _doublings(found: GroupReport) -> Floats:
    """Return log2 of each cell's ratio to the FMR of all: (g, g), NaN for too little data."""
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
    """Return a percentage with two digits; the table of the report has three."""
    return np.format_float_positional(100 * share, precision=2, fractional=False, trim="-") + "%"


def _size(n_groups: int) -> float:
    """Return a font size in points at which the text fits into a cell."""
    return min(SMALL + 1, 75 / n_groups)
