"""How far apart faces were: the scores of genuine and impostor comparisons, plain and on a logarithmic scale."""

import numpy as np
from matplotlib.axes import Axes

from ..record import Evaluation
from ..tally import Floats
from ..words import SCORE
from .canvas import BLUE, FAINT, INK, ORANGE, SMALL, Plot, as_picture, legend, logarithmic, paper, plain

ROOM = 1.3  # above the highest bar, for the points' names
FEW, MERGED = 5000, 3  # comparisons of which so many bars become one, lest they be ragged


def distances(found: Evaluation) -> Plot:
    """Draw both densities, and the tails that decide error rates once more on a logarithmic scale."""
    figure = paper(5.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for axes in (upper, lower):
        _densities(axes, found)
        _thresholds(axes, found)
    plain(upper, "", "density")
    plain(lower, f"{SCORE[found.scores]}: smaller is more alike", "density, logarithmic")
    upper.set_ylim(0, upper.get_ylim()[1] * ROOM)
    lower.set_yscale("log")
    logarithmic(lower.yaxis, lower.get_ylim(), "{:g}".format)
    _names(upper, found)
    legend(upper, "upper right")
    return as_picture(
        figure, "scores", f"Histograms of the {SCORE[found.scores]}s of genuine and of impostor comparisons"
    )


def _densities(axes: Axes, found: Evaluation) -> None:
    axes.set_xlim(found.histogram.edges[0], found.histogram.edges[-1])
    kinds = (found.histogram.genuine, BLUE, "genuine"), (found.histogram.impostor, ORANGE, "impostor")
    for counts, colour, label in kinds:
        density, edges = density_of(counts, found.histogram.edges)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=label)


def density_of(counts: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Return shares for each unit of score, the area below which is 1, and their edges: few comparisons merge."""
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
