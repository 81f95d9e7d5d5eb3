"""Shared parts of all plots: figure, colours, axes and reproducible PNG files.

The colours are those of Okabe and Ito, which colour-blind people can distinguish.
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
WIDTH = 5.8  # inches; a phone shows two thirds of this size, so text is large
DPI = 200
TEXT, SMALL = 11.0, 9.5  # points


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A picture, for a separate file and for the page."""

    name: str  # of the file, without its suffix
    alt: str  # alternative text
    png: bytes

    @property
    def uri(self) -> str:
        """The picture as a data URI, so that the page needs no other file."""
        return data_uri("png", self.png)


def paper(height: float) -> Figure:
    """Return an empty figure of this height, in inches, without using pyplot's global state."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes, x: str, y: str) -> None:
    """Set the labels and the common style of axes."""
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=SMALL, color=GRID, labelcolor=INK, length=3)
    axes.minorticks_off()
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)


def logarithmic(axis: Axis, reach: tuple[float, float], say: Callable[[float], str]) -> None:
    """Set the ticks of a logarithmic axis: decades, and values between them if there is room."""
    times = reach[1] / reach[0]
    steps = (1, 2, 5) if times < 20 else (1, 3) if times < 100 else (1,)  # noqa: PLR2004 - leaves room for numbers
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: say(value)))
    axis.set_minor_locator(NullLocator())


def legend(axes: Axes, where: Literal["upper left", "upper right"]) -> None:
    """Add a legend with one entry per label."""
    kinds = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(kinds.values(), kinds, loc=where, fontsize=SMALL, framealpha=0.9, edgecolor=GRID, labelcolor=INK)


def as_picture(figure: Figure, name: str, alt: str) -> Plot:
    """Render a figure as PNG, without date and version, so that the file is reproducible."""
    target = BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return Plot(name, alt, target.getvalue())
