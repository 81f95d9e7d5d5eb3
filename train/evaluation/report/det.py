"""DET curves: FNMR over FMR, or FNIR over FPIR, on normal-deviate axes.

Normally distributed scores give a straight line there.
Martin et al., "The DET curve in assessment of detection task performance", 1997.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ..metrics import Floats
from ..model_comparison import ModelComparison
from ..results import DetCurve, Evaluation, GalleryResult, IdentificationReport, rate_text
from .plot import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SMALL, Plot, as_picture, legend, paper, plain

FMR_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 0.5)
FNMR_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)
VERIFICATION = ("FMR: impostor comparisons accepted", "FNMR: genuine comparisons rejected")
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, INK)  # of galleries, the smallest first
MARGIN, ROOM = 0.15, 0.6  # around the content, and to its left for names; in standard deviations
LEAST = 1e-12  # replaces a rate of 0; outside of every axis


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker in the plot."""

    fmr: float
    fnmr: float
    shape: str  # marker code of matplotlib
    colour: str
    label: str  # in the legend
    name: str = ""  # text beside the marker
    is_hollow: bool = False
    size: float = 7.0  # points


def det(found: Evaluation) -> Plot | None:
    """Draw the curve with its band, the card's points and the threshold; None for too few comparisons."""
    if not _is_drawable(found.curve):
        return None
    figure = paper(5.0)
    axes = figure.subplots()
    marks = list(_marks(found))
    _axes(axes, [found.curve], marks)
    _line(axes, found.curve, BLUE, "measured, with its 95% band")
    for mark in marks:
        _draw(axes, mark)
    legend(axes, "upper right")
    return as_picture(figure, "det", "DET curve: share of genuine comparisons rejected over impostor ones accepted")


def det_against(versus: ModelComparison) -> Plot | None:
    """Draw the curves of two models in one plot; None if one has none."""
    both = [versus.first.curve, versus.second.curve]
    if not all(map(_is_drawable, both)):
        return None
    figure = paper(4.4)
    axes = figure.subplots()
    _axes(axes, both, [])
    for curve, colour, label in zip(both, (BLUE, ORANGE), ("first model", "second model"), strict=True):
        _line(axes, curve, colour, label)
    legend(axes, "upper right")
    return as_picture(figure, "against", "DET curves of both models")


def identification(found: IdentificationReport) -> Plot | None:
    """Draw FNIR over FPIR for each gallery with what the card claims; None for too few comparisons."""
    galleries = [each for each in found.galleries if _is_drawable(each.curve)]
    if not galleries:
        return None
    figure = paper(5.0)
    axes = figure.subplots()
    curves = [each.curve for each in galleries]
    marks = [mark for k, each in enumerate(galleries) for mark in _claimed(each, COLOURS[k % len(COLOURS)])]
    _axes(axes, curves, marks, ("FPIR: people outside of the gallery identified", "FNIR: people in it not identified"))
    for k, each in enumerate(galleries):
        _line(axes, each.curve, COLOURS[k % len(COLOURS)], f"{each.n_people:,} people in the gallery")
    for mark in marks:
        _draw(axes, mark)
    legend(axes, "upper right")
    return as_picture(figure, "identification", "DET curves of identification: FNIR over FPIR by size of the gallery")


def _claimed(gallery: GalleryResult, colour: str) -> Iterator[Mark]:
    """Yield the card's claims that the axes can show."""
    for claim in gallery.claims:
        fpir, fnir = claim.claimed_fpir.value, claim.claimed_fnir.value
        if claim.is_carried and fpir and fnir:
            yield Mark(fpir, fnir, "o", colour, "as the card claims", is_hollow=True)


def probit(rates: ArrayLike) -> Floats:
    """Return the standard normal deviate of each rate: (n,)."""
    inside = np.clip(np.asarray(rates, np.float64), LEAST, 1 - LEAST)
    return np.array([NormalDist().inv_cdf(each) for each in inside.tolist()])


def _is_drawable(curve: DetCurve) -> bool:
    """Check for values above 0; a curve of zeros is outside of the axes."""
    return len(curve.fmr) > 1 and bool((curve.fnmr > 0).any())


def _marks(found: Evaluation) -> Iterator[Mark]:
    """Yield the markers with rates above 0, which the axes can show."""
    figures, threshold = found.figures, found.threshold.value
    for claim in found.claims:
        if claim.is_carried and claim.fmr.value and claim.fnmr.value:
            point, measured = claim.point, (claim.fmr.value, claim.fnmr.value)
            yield Mark(*measured, "o", GREEN, "the card's points, measured", point.name)
            yield Mark(point.fmr or 0, point.fnmr or 0, "o", GREEN, "the same, as claimed", is_hollow=True)
    if figures.fmr.value and figures.fnmr.value:
        yield Mark(
            figures.fmr.value, figures.fnmr.value, "o", INK, f"the threshold {threshold:.4g}", is_hollow=True, size=12
        )
    if figures.eer.value:
        yield Mark(figures.eer.value, figures.eer.value, "D", ORANGE, f"EER {rate_text(figures.eer.value)}")


def _axes(axes: Axes, curves: Sequence[DetCurve], marks: Iterable[Mark], names: tuple[str, str] = VERIFICATION) -> None:
    """Set axes that include all curves and markers."""
    plain(axes, *names)
    places = [(mark.fmr, mark.fnmr) for mark in marks]
    x = _reach([FMR_TICKS[-1], *(fmr for fmr, _ in places), *(curve.fmr[0] for curve in curves)], ROOM)
    y = _reach(
        np.concatenate([*([curve.fnmr, curve.high] for curve in curves), [fnmr for _, fnmr in places]], axis=None)
    )
    x_ticks, y_ticks = _inside(FMR_TICKS, x), _inside(FNMR_TICKS, y)
    axes.set_xticks(probit(x_ticks), [_power(tick) for tick in x_ticks])
    axes.set_yticks(probit(y_ticks), [rate_text(tick) for tick in y_ticks])
    axes.set(xlim=x, ylim=y)
    same = probit(np.geomspace(FMR_TICKS[0], FMR_TICKS[-1], 50))
    axes.plot(same, same, ":", color=FAINT, linewidth=1, zorder=1)


def _reach(rates: ArrayLike, room: float = MARGIN) -> tuple[float, float]:
    shown = np.asarray(rates)[np.asarray(rates) > 0]
    low, high = probit([shown.min(), shown.max()]).tolist()
    return low - room, high + MARGIN


def _inside(ticks: Sequence[float], reach: tuple[float, float]) -> list[float]:
    return [tick for tick, deviate in zip(ticks, probit(ticks), strict=True) if reach[0] <= deviate <= reach[1]]


def _power(fmr: float) -> str:
    exponent = np.log10(fmr)
    return f"{rate_text(fmr)}\n$10^{{{exponent:.0f}}}$" if exponent == round(exponent) else rate_text(fmr)


def _line(axes: Axes, curve: DetCurve, colour: str, label: str) -> None:
    x = probit(curve.fmr)
    axes.fill_between(x, probit(curve.low), probit(curve.high), color=colour, alpha=0.16, linewidth=0)
    axes.plot(x, probit(curve.fnmr), color=colour, linewidth=2, label=label)


def _draw(axes: Axes, mark: Mark) -> None:
    x, y = probit([mark.fmr, mark.fnmr]).tolist()
    face = "none" if mark.is_hollow else mark.colour
    axes.plot(
        x, y, mark.shape, color=mark.colour, markerfacecolor=face, label=mark.label,
        markersize=mark.size, markeredgewidth=1.5, zorder=3,
    )  # fmt: skip
    axes.annotate(
        mark.name, (x, y), (-8, -13), textcoords="offset points", fontsize=SMALL, color=mark.colour, ha="right"
    )
