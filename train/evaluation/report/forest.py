"""Error rates by group as a forest plot: a row for each group, its interval beside that of all."""

from collections.abc import Iterable
from textwrap import wrap

from matplotlib.axes import Axes

from ..groups import GroupRate, GroupReport
from ..words import rate_text
from .canvas import BLUE, FAINT, ORANGE, TEXT, Plot, as_picture, logarithmic, paper, plain

ROW = 0.42  # inches
NAME = 18  # characters to a line


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
    """Filled where there is enough for a verdict, orange where it is that the group differs."""
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
    """Return a name on at most two lines, to be written beside a row."""
    return "\n".join(wrap(name, NAME, max_lines=2, placeholder="…"))
