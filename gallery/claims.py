"""What an identification may claim: from a false positive identification rate and a number of templates to a threshold.

A probe of a person who is not in a gallery is compared with each of its n templates, so FPIR = 1 - (1 - FMR)^n. The
card's operating points say at which threshold the FMR is low enough; between two of them it is interpolated.
"""

from collections.abc import Sequence
from math import expm1, floor, isnan, log1p, log10, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedder import ModelCard, OperatingPoint

from .errors import ClaimUnavailable
from .types import Claim

ROUNDING = 1e-9  # of a template: so that the FPIR of a gallery is carried by it
DIGITS = 3  # significant ones of the strictest FPIR
Points = Sequence[OperatingPoint]  # with a measured FMR, the strictest first
Rates = NDArray[np.float64]  # (points,) NaN = not measured


def claim_for(card: ModelCard, *, fpir: float, n_templates: int) -> Claim:
    """Return the threshold that holds an FPIR with that many templates, and the error rates to expect.

    If even the card's loosest point is stricter than necessary, the claim is that of the loosest point. Raises
    ClaimUnavailable if the strictest one is not strict enough, and ValueError if `fpir` is not between 0 and 1 or
    there is no template.
    """
    if not 0 < fpir < 1:
        raise ValueError(f"fpir must be between 0 and 1, both excluded, not {fpir}")
    if n_templates < 1:
        raise ValueError(f"a claim needs at least one template, not {n_templates}")
    most = largest_gallery(card, fpir)
    if n_templates > most:
        raise ClaimUnavailable(fpir, n_templates, largest=most, strictest=strictest_fpir(card, n_templates))
    return _claim(_curves(_measured(card)), fmr_of(fpir, n_templates), n_templates)


def fpir_of(fmr: float, n_templates: int) -> float:
    """Return the FPIR of a gallery whose comparisons have that FMR."""
    return 1.0 if fmr >= 1 else -expm1(n_templates * log1p(-fmr))


def fmr_of(fpir: float, n_templates: int) -> float:
    """Return the FMR of a comparison by which a gallery has that FPIR."""
    return -expm1(log1p(-fpir) / n_templates)


def largest_gallery(card: ModelCard, fpir: float) -> int:
    """Return the largest number of templates for which the card carries an FPIR; 0 = it has no measured FMR."""
    points = _measured(card)
    return floor(log1p(-fpir) / log1p(-_fmr(points[0])) + ROUNDING) if points else 0


def strictest_fpir(card: ModelCard, n_templates: int) -> float | None:
    """Return the strictest FPIR, rounded up, that the card carries with that many templates; None if there is none."""
    points = _measured(card)
    exact = fpir_of(_fmr(points[0]), n_templates) if points else 1.0
    n_decimals = DIGITS - 1 - floor(log10(exact))
    rounded = round((floor(exact * 10.0**n_decimals) + 1) / 10.0**n_decimals, n_decimals)
    return rounded if rounded < 1 else None


class _Curves(NamedTuple):
    """The points of a card as curves over the FMR. The ends of an interval of the FMR are multiples of the FMR."""

    log_fmr: Rates
    thresholds: Rates
    fmr_ends: tuple[Rates, Rates]
    fnmr: Rates
    fnmr_ends: tuple[Rates, Rates]


def _measured(card: ModelCard) -> Points:
    """The points whose FMR is known; of two with the same, the stricter."""
    by_rate = {point.fmr: point for point in sorted(card.operating_points, key=lambda each: -each.threshold)}
    return sorted((point for fmr, point in by_rate.items() if fmr), key=_fmr)


def _fmr(point: OperatingPoint) -> float:
    return point.fmr or 0.0


def _curves(points: Points) -> _Curves:
    fmr = np.array([_fmr(point) for point in points])
    thresholds = np.array([point.threshold for point in points])
    stricter = np.minimum.accumulate(thresholds[::-1])[::-1]  # a looser rate never has a stricter threshold
    fnmr = np.array([nan if point.fnmr is None else point.fnmr for point in points])
    low, high = np.array([point.fmr_interval or (nan, nan) for point in points]).T / fmr
    fnmr_ends = np.array([point.fnmr_interval or (nan, nan) for point in points]).T
    return _Curves(np.log10(fmr), stricter, (low, high), fnmr, (fnmr_ends[0], fnmr_ends[1]))


def _claim(curves: _Curves, wanted: float, n_templates: int) -> Claim:
    place = float(np.clip(log10(wanted), curves.log_fmr[0], curves.log_fmr[-1]))

    def at(values: Rates) -> float:
        return float(np.interp(place, curves.log_fmr, values))

    fmr = 10**place
    low, high = (fpir_of(fmr * at(end), n_templates) for end in curves.fmr_ends)
    fnir, fnir_low, fnir_high = at(curves.fnmr), *(at(end) for end in curves.fnmr_ends)
    return Claim(
        n_templates=n_templates,
        fpir=fpir_of(fmr, n_templates),
        fpir_interval=None if isnan(low) else (low, high),
        fmr=fmr,
        threshold=at(curves.thresholds),
        fnir=None if isnan(fnir) else fnir,
        fnir_interval=None if isnan(fnir_low) else (fnir_low, fnir_high),
    )
