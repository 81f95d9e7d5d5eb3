"""Training curves: loss, error rate, distances, active share, effective rank and learning rate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..evaluation.metrics import Floats
from ..evaluation.report.plot import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SMALL,
    TEXT,
    Plot,
    as_picture,
    logarithmic,
    paper,
    plain,
)
from ..evaluation.results import rate_text
from .csv_log import StepRecord, ValidationRecord

ROW = 1.9  # inches of height
SMOOTHED_FROM, SMOOTHED_OVER = 60, 30  # lines of n >= 60 points get a running mean over n // 30 to each side
LOGARITHMIC_FROM = 5  # ratio of the largest to the smallest value
PARTS = (ORANGE, GREEN, PURPLE)
ROOM, ROOM_WITH_KEY = 1.08, 1.4  # height of a panel, relative to its largest value
FEW = 30  # lines of at most this many points have markers


@dataclass(frozen=True, slots=True, eq=False)
class CurveLine:
    """Values over steps; NaN if not measured."""

    steps: Floats
    values: Floats
    colour: str
    label: str = ""
    is_noisy: bool = True  # a long line is drawn with its running mean


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One pair of axes."""

    title: str
    lines: tuple[CurveLine, ...]
    is_share: bool = False
    is_relative: bool = False  # logarithmic if the range is large

    @property
    def has_key(self) -> bool:
        """Whether the lines have labels."""
        return any(line.label for line in self.lines)


def curves(steps: Sequence[StepRecord], validations: Sequence[ValidationRecord]) -> Plot | None:
    """Draw everything measured over the steps; None if nothing was."""
    panels = [panel for panel in _panels(steps, validations) if any(_is_drawable(line) for line in panel.lines)]
    if not panels:
        return None
    n_rows = -(-len(panels) // 2)
    figure = paper(ROW * n_rows + 0.2)
    places = figure.subplots(n_rows, 2, squeeze=False).ravel().tolist()
    reach = max(float(line.steps.max()) for panel in panels for line in panel.lines if len(line.steps))
    for k, (axes, panel) in enumerate(zip(places, panels, strict=False)):
        _draw(axes, panel, reach, "steps" if k >= len(panels) - 2 else "")
    for axes in places[len(panels) :]:
        axes.remove()
    return as_picture(figure, "curves", "Training curves: " + ", ".join(panel.title for panel in panels))


def _panels(steps: Sequence[StepRecord], validations: Sequence[ValidationRecord]) -> Iterator[Panel]:
    at = np.array([record.step for record in steps], np.float64)

    def line(of: Callable[[StepRecord], float | None], colour: str = BLUE, label: str = "") -> CurveLine:
        return CurveLine(at, _measured([of(record) for record in steps]), colour, label)

    yield Panel("loss", tuple(_losses(steps, line)))
    yield Panel("EER of people held out", (_errors(validations),), is_share=True, is_relative=True)
    apart = line(lambda record: record.negative_distance, ORANGE, "of two people")
    together = line(lambda record: record.positive_distance, BLUE, "of one person")
    yield Panel("mean distance", (together, apart))
    yield Panel("active share", (line(lambda record: record.active_share),), is_share=True)
    yield Panel("effective rank", (line(lambda record: record.effective_rank),))
    rates = line(lambda record: record.learning_rate)
    yield Panel("learning rate", (replace(rates, is_noisy=False),))


def _losses(steps: Sequence[StepRecord], line: Callable[..., CurveLine]) -> Iterator[CurveLine]:
    """Yield the total loss, and its terms if there are few."""
    names = list(dict.fromkeys(name for record in steps for name in record.parts))
    several = 1 < len(names) <= len(PARTS)
    for name, colour in zip(names, PARTS, strict=False) if several else ():
        yield line(lambda record, name=name: record.parts.get(name), colour, name)
    yield line(lambda record: record.loss, BLUE, "total" if several else "")


def _errors(validations: Sequence[ValidationRecord]) -> CurveLine:
    steps = np.array([found.step for found in validations], np.float64)
    return CurveLine(steps, _measured([found.eer for found in validations]), BLUE, is_noisy=False)


def _measured(values: Sequence[float | None]) -> Floats:
    """Replace missing and infinite values by NaN; the losses of a failed run may be infinite."""
    found = np.array([np.nan if value is None else value for value in values], np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def _is_drawable(line: CurveLine) -> bool:
    return bool(np.isfinite(line.values).any())


def _draw(axes: Axes, panel: Panel, reach: float, name: str) -> None:
    plain(axes, name, "")
    axes.set_title(panel.title, fontsize=TEXT, color=INK, loc="left")
    for line in filter(_is_drawable, panel.lines):
        _line(axes, line)
    axes.set_xlim(0, reach * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _position: _short(step)))
    _scale(axes, panel)
    if panel.has_key:
        _key(axes)


def _key(axes: Axes) -> None:
    """Place the legend above all lines, so that it hides none."""
    axes.legend(
        loc="upper right",
        ncols=2,
        frameon=False,
        fontsize=SMALL - 1,
        labelcolor=INK,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0,
    )


def _line(axes: Axes, line: CurveLine) -> None:
    """Draw a line; many points are drawn faintly, under their running mean."""
    is_known = np.isfinite(line.values)
    steps, values = line.steps[is_known], line.values[is_known]
    is_long = line.is_noisy and len(values) >= SMOOTHED_FROM
    if is_long:
        axes.plot(steps, values, color=line.colour, linewidth=0.6, alpha=0.3)
    mark = "o" if len(values) <= FEW else ""
    shown = smoothed(values, len(values) // SMOOTHED_OVER) if is_long else values
    axes.plot(steps, shown, mark + "-", color=line.colour, linewidth=1.6, markersize=3, label=line.label)


def smoothed(values: Floats, reach: int) -> Floats:
    """Return the running mean over `reach` values to each side, fewer at the ends: (n,)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: Floats = (sums[last] - sums[first]) / (last - first)
    return means


def _scale(axes: Axes, panel: Panel) -> None:
    values = np.concatenate([line.values[np.isfinite(line.values)] for line in panel.lines])
    lowest, highest = float(values.min()), float(values.max())
    say = rate_text if panel.is_share else _number
    if panel.is_relative and 0 < lowest * LOGARITHMIC_FROM < highest:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.3, highest * 1.3)
        logarithmic(axes.yaxis, (lowest, highest), say)
        return
    room = ROOM_WITH_KEY if panel.has_key else ROOM
    axes.set_ylim(min(0.0, lowest), highest * room if highest > 0 else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: say(value)))


def _number(value: float) -> str:
    return f"{value:.3g}"


def _short(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:,.0f}"  # noqa: PLR2004 - five digits no longer fit
