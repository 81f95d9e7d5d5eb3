"""What an identification may claim: from a false positive identification rate and a number of templates to a threshold.

A probe of a person who is not in a gallery is compared with each of its n templates, so FPIR = 1 - (1 - FMR)^n. The
card's operating points say at which threshold the FMR is low enough; between two of them it is interpolated.
"""

from dataclasses import dataclass
from math import expm1, floor, isnan, log, log1p, log10, nan
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedder import ModelCard

from .errors import ClaimUnavailable
from .types import Claim

ROUNDING = 1e-9  # of a template: so that the FPIR of a gallery is carried by it
DIGITS = 3  # significant ones of the strictest FPIR
LEAST_FMR = 1e-12  # that photos can measure: it takes 1e13 comparisons
Rates = NDArray[np.float64]  # (points,) NaN = not measured


@dataclass(frozen=True, slots=True, eq=False)
class FmrCurve:
    """What a card measured, over the FMR: its points, and between them straight lines over the logarithm of the FMR.

    A rate that was not measured is NaN.
    """

    fmrs: Rates  # (points,) ascending
    thresholds: Rates  # (points,) ascending: a looser rate never has a stricter threshold
    fmr_ends: Rates  # (2, points) of the intervals, as multiples of the FMR
    fnmr: Rates  # (points,)
    fnmr_ends: Rates  # (2, points) of the intervals

    @classmethod
    def of(cls, card: ModelCard) -> Self | None:
        """Return the curve of a card, None if no point has a measured FMR. Of equal FMRs the strictest point counts.

        A rate of 0 or 1, or one too small to be measured, says nothing about a claim.
        """
        by_rate = {point.fmr: point for point in sorted(card.operating_points, key=lambda each: -each.threshold)}
        fmrs = sorted(fmr for fmr in by_rate if fmr is not None and LEAST_FMR <= fmr < 1)
        if not fmrs:
            return None
        points = [by_rate[fmr] for fmr in fmrs]
        thresholds = np.array([point.threshold for point in points])
        return cls(
            fmrs=np.array(fmrs),
            thresholds=np.minimum.accumulate(thresholds[::-1])[::-1],
            fmr_ends=np.array([point.fmr_interval or (nan, nan) for point in points]).T / fmrs,
            fnmr=np.array([nan if point.fnmr is None else point.fnmr for point in points]),
            fnmr_ends=np.array([point.fnmr_interval or (nan, nan) for point in points]).T,
        )

    @property
    def strictest(self) -> float:
        """The lowest FMR that was measured."""
        return float(self.fmrs[0])

    @property
    def loosest(self) -> float:
        """The highest FMR that was measured."""
        return float(self.fmrs[-1])

    def carried(self, fmr: float) -> float:
        """Return an FMR, moved into the measured range."""
        return min(max(fmr, self.strictest), self.loosest)

    def at(self, fmr: float, values: Rates) -> float:
        """Return what one of the columns, (points,), has at an FMR, which is moved into the measured range."""
        return float(np.interp(log(fmr), np.log(self.fmrs), values))

    def threshold(self, fmr: float) -> float:
        """Return the threshold with that FMR, which is moved into the measured range."""
        return self.at(fmr, self.thresholds)

    def fmr(self, distance: float) -> float:
        """Return the FMR of a threshold; below the measured range it is the strictest, above it the loosest."""
        return float(np.exp(np.interp(distance, self.thresholds, np.log(self.fmrs))))


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
    curve, most = FmrCurve.of(card), largest_gallery(card, fpir)
    if curve is None or n_templates > most:
        raise ClaimUnavailable(fpir, n_templates, largest=most, strictest=strictest_fpir(card, n_templates))
    return _claim(curve, fmr_of(fpir, n_templates), n_templates)


def fpir_of(fmr: float, n_templates: int) -> float:
    """Return the FPIR of a gallery whose comparisons have that FMR."""
    return 1.0 if fmr >= 1 else -expm1(n_templates * log1p(-fmr))


def fmr_of(fpir: float, n_templates: int) -> float:
    """Return the FMR of a comparison by which a gallery has that FPIR."""
    return -expm1(log1p(-fpir) / n_templates)


def largest_gallery(card: ModelCard, fpir: float) -> int:
    """Return the largest number of templates for which the card carries an FPIR; 0 = it has no measured FMR."""
    curve = FmrCurve.of(card)
    return 0 if curve is None else floor(log1p(-fpir) / log1p(-curve.strictest) + ROUNDING)


def strictest_fpir(card: ModelCard, n_templates: int) -> float | None:
    """Return the strictest FPIR, rounded up, that the card carries with that many templates; None if there is none."""
    curve = FmrCurve.of(card)
    exact = 1.0 if curve is None else fpir_of(curve.strictest, n_templates)
    n_decimals = DIGITS - 1 - floor(log10(exact))
    rounded = round((floor(exact * 10.0**n_decimals) + 1) / 10.0**n_decimals, n_decimals)
    return rounded if rounded < 1 else None


def _claim(curve: FmrCurve, wanted: float, n_templates: int) -> Claim:
    fmr = curve.carried(wanted)
    low, high = (fpir_of(fmr * curve.at(fmr, end), n_templates) for end in curve.fmr_ends)
    fnir, fnir_low, fnir_high = curve.at(fmr, curve.fnmr), *(curve.at(fmr, end) for end in curve.fnmr_ends)
    return Claim(
        n_templates=n_templates,
        fpir=fpir_of(fmr, n_templates),
        fpir_interval=None if isnan(low) else (low, high),
        fmr=fmr,
        threshold=curve.threshold(fmr),
        fnir=None if isnan(fnir) else fnir,
        fnir_interval=None if isnan(fnir_low) else (fnir_low, fnir_high),
    )
