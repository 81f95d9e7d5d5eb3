"""Plots of the score distributions and of the reliability of probabilities."""

import numpy as np
from matplotlib.axes import Axes

from ..evidence import N_BINS, Reliability
from ..metrics import Floats
from ..results import SCORE, Evaluation, Evidence
from .plot import BLUE, FAINT, GREEN, INK, ORANGE, SMALL, Plot, as_picture, legend, logarithmic, paper, plain

ROOM = 1.3  # height relative to the highest bar, for the points' names
FEW, MERGED = 5000, 3  # below 5,000 comparisons, three bars are merged into one to reduce noise


def distances(found: Evaluation) -> Plot:
    """Draw both densities, on a linear and on a logarithmic scale; the latter shows the tails."""
    figure = paper(5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for axes in (upper, lower):
        _densities(axes, found)
        _thresholds(axes, found)
    plain(upper, "", "density")
    plain(lower, f"{SCORE[found.score_kind]}: smaller means more similar", "density, logarithmic")
    upper.set_ylim(0, upper.get_ylim()[1] * ROOM)
    lower.set_yscale("log")
    logarithmic(lower.yaxis, lower.get_ylim(), "{:g}".format)
    _names(upper, found)
    legend(upper, "upper right")
    return as_picture(
        figure, "scores", f"Histograms of the {SCORE[found.score_kind]}s of genuine and of impostor comparisons"
    )


def _densities(axes: Axes, found: Evaluation) -> None:
    axes.set_xlim(found.histogram.edges[0], found.histogram.edges[-1])
    kinds = (found.histogram.genuine, BLUE, "genuine"), (found.histogram.impostor, ORANGE, "impostor")
    for counts, colour, label in kinds:
        density, edges = density_of(counts, found.histogram.edges)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=label)


def density_of(counts: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Return densities with an area of 1, and their edges; bins are merged if there are few comparisons."""
    if counts.sum() < FEW:
        counts = np.add.reduceat(counts, np.arange(0, len(counts), MERGED))
        edges = np.append(edges[:-1:MERGED], edges[-1])
    return counts / counts.sum() / np.diff(edges), edges


def _thresholds(axes: Axes, found: Evaluation) -> None:
    for claim in found.claims:
        axes.axvline(claim.point.threshold, color=FAINT, linewidth=1, linestyle="--")
    axes.axvline(found.threshold.value, color=INK, linewidth=1.6, label=f"threshold {found.threshold.value:.4g}")


def _names(axes: Axes, found: Evaluation) -> None:
    """Write the operating points' names along their lines."""
    for claim in found.claims:
        axes.annotate(
            claim.point.name, (claim.point.threshold, 1), (-2, -3),
            xycoords=("data", "axes fraction"), textcoords="offset points",
            rotation=90, ha="right", va="top", fontsize=SMALL, color=FAINT,
        )  # fmt: skip


MOST, LEAST = 200.0, 0.01  # area of a point with share 1, in points squared; smallest share that is drawn to scale


def reliability(found: Evidence) -> Plot:
    """Draw observed over stated probability, and below how often each was stated."""
    figure = paper(5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], ":", color=FAINT, label="perfect calibration")
    upper.plot(found.reliability.stated, found.reliability.observed, color=BLUE, alpha=0.25)
    sizes = MOST * np.maximum(found.reliability.share, LEAST) ** 0.5
    upper.scatter(found.reliability.stated, found.reliability.observed, sizes, color=BLUE, label="measured", zorder=3)
    upper.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    plain(upper, "", "share that was genuine")
    legend(upper, "upper left")
    lower.bar(_middles(found.reliability), found.reliability.share, width=0.9 / N_BINS, color=GREEN)
    lower.set_yscale("log")
    plain(lower, "stated probability of one person (prior one half)", "share stated")
    tenths = np.linspace(0, 1, 6)
    lower.set_xticks(tenths, [f"{tenth:.0%}" for tenth in tenths])
    upper.set_yticks(tenths, [f"{tenth:.0%}" for tenth in tenths])
    return as_picture(
        figure, "reliability", "Reliability diagram: stated probability against the share that was genuine"
    )


def _middles(found: Reliability) -> list[float]:
    """Return the centre of each bin."""
    return [(min(int(stated * N_BINS), N_BINS - 1) + 0.5) / N_BINS for stated in found.stated.tolist()]
