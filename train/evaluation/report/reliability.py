"""The reliability diagram: what the card's probabilities say against what came true."""

import numpy as np

from ..evidence import N_BINS, Reliability
from ..record import Evidence
from .canvas import BLUE, FAINT, GREEN, Plot, as_picture, legend, paper, plain

MOST, LEAST = 200.0, 0.01  # area of a point that is all there is, in points squared; share that the smallest stands for


def reliability(found: Evidence) -> Plot:
    """Draw stated and observed probability, and below how often each was stated."""
    figure = paper(5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], ":", color=FAINT, label="what is said comes true")
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
    """Return the middle of each bin."""
    return [(min(int(stated * N_BINS), N_BINS - 1) + 0.5) / N_BINS for stated in found.stated.tolist()]
