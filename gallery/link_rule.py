"""The FMR at which faces are linked into people, by the points of a model's card."""

from dataclasses import dataclass
from math import comb

from embedder import ModelCard, VisavisError, chosen_point

from .claims import FmrCurve


class GroupingError(VisavisError):
    """Faces cannot be grouped as asked; the message says what to do. Commands raise it, the service does not."""

    code = "grouping_error"


WRONG_LINKS = 0.02  # expected for each face, by default, if all are of different people
MOST_FMR = 1e-5  # by default: the people of a small folder are often related, and so more alike than strangers
DOUBT = 3.0  # times the FMR: nearer than that to the other decision, a person is in doubt


def fmr_curve(card: ModelCard) -> FmrCurve:
    """Return the curve of a card. Raises GroupingError for a card without measured points."""
    curve = FmrCurve.of(card)
    if curve is None:
        raise GroupingError(f"the card of {card.name} has no measured FMR; run visavis calibrate to measure it")
    return curve


@dataclass(frozen=True, slots=True)
class LinkRule:
    """When two clusters of faces are one person."""

    fmr: float  # of the threshold, for one comparison
    threshold: float  # of the distance of two clusters; for two faces, the normalised distance
    mean_threshold: float  # of the mean distance between their faces
    surely_joined: float  # a person who is still one with this threshold is not in doubt
    surely_apart: float  # nor are people at larger distances from each other
    reach: float  # the largest distance of another person that is reported

    def n_wrong_links(self, n_faces: int) -> float:
        """Return the number of links between two people to expect if each face shows another person."""
        return self.fmr * comb(n_faces, 2)


def link_rule(card: ModelCard, n_faces: int, fmr: float | None = None) -> LinkRule:
    """Return the rule that links at that FMR, by default with one wrong link expected for 50 faces.

    The default is at most MOST_FMR, and never below the strictest FMR that was measured. Raises GroupingError for an
    `fmr` beyond those that were measured, and for a card without points.
    """
    curve = fmr_curve(card)
    used = _default_fmr(curve, n_faces) if fmr is None else _measured(curve, fmr)
    threshold, default = curve.threshold(used), chosen_point(card, None).threshold
    farthest = max(threshold, default)
    return LinkRule(
        fmr=used,
        threshold=threshold,
        mean_threshold=farthest,
        surely_joined=curve.threshold(used / DOUBT),
        surely_apart=curve.threshold(used * DOUBT),
        reach=max(farthest, curve.threshold(used * DOUBT)),
    )


def _default_fmr(curve: FmrCurve, n_faces: int) -> float:
    return curve.carried(min(2 * WRONG_LINKS / max(1, n_faces - 1), MOST_FMR))


def _measured(curve: FmrCurve, fmr: float) -> float:
    if not curve.strictest <= fmr <= curve.loosest:
        raise GroupingError(
            f"the card's evidence does not carry an FMR of {fmr:g}: it reaches from {curve.strictest:.2g} to "
            f"{curve.loosest:.2g}; choose one of these"
        )
    return fmr
