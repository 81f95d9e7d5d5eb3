"""What all pictures share: paper, colours, and how a figure becomes the same PNG every time.

The colours are those of Okabe and Ito, which the colour-blind tell apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from embedder import data_uri

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#00805E", "#A6548A"
INK, FAINT, GRID = "#1f2328", "#6e7781", "#e4e7eb"
WIDTH = 5.8  # inches; a phone shows two thirds of that, so text is large
DPI = 200
TEXT, SMALL = 11.0, 9.5  # points


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A picture, as a file beside the page and inside of it."""

    name: str  # of the file, without its suffix
    alt: str  # what it shows, for those who do not see it
    png: bytes

    @property
    def uri(self) -> str:
        """The picture itself as an address, so that the page needs no other file."""
        return data_uri("png", self.png)


def paper(height: float) -> Figure:
    """Return an empty figure, so many inches high. No state of pyplot is touched."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, x: str, y: str) -> None:
    """Give axes their names and the look of the house."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=SMALL, color=GRID, labelcolor=INK, length=3)
    axes.minorticks_off()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)


def logarithmic(axis: Axis, reach: tuple[float, float], say: Callable[[float], str]) -> None:
    """Number a logarithmic axis that reaches from ... to: decades, and what room there is between them."""
    times = reach[1] / reach[0]
    steps = (1, 2, 5) if times < 20 else (1, 3) if times < 100 else (1,)  # noqa: PLR2004 - what leaves room for numbers
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: say(value)))
    axis.set_minor_locator(NullLocator())


def legend(axes: Axes, where: Literal["upper left", "upper right"]) -> None:
    """Name what is drawn, each kind once."""
    kinds = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(kinds.values(), kinds, loc=where, fontsize=SMALL, framealpha=0.9, edgecolor=GRID, labelcolor=INK)


def as_picture(figure: Figure, name: str, alt: str) -> Plot:
    """Draw it; no date and no version gets into the file."""
    target = BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return Plot(name, alt, target.getvalue())
