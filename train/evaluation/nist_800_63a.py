"""Check a model against NIST SP 800-63A, which requires an FMR and an FNMR at one threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .results import ClaimCheck, Estimate, Evaluation, TarAtFmr, estimated, rate_text

NAME = "NIST SP 800-63A"
MAX_FMR, MAX_FNMR = 1e-4, 1e-2  # 1 in 10,000 and 1 in 100
POINT = "fmr-1e-4"  # the card's operating point at the standard's FMR

Verdict = Literal["meets", "does not meet", "cannot be told", "too few comparisons to say"]


@dataclass(frozen=True, slots=True)
class StandardFigures:
    """Both error rates at one threshold, and whether they meet the standard."""

    threshold: float | None  # None: too few impostor comparisons to choose one
    fmr: Estimate
    fnmr: Estimate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StandardReport:
    """A model on these photos compared with the standard. Failures to acquire do not count as errors."""

    here: StandardFigures  # at the loosest threshold whose FMR here is low enough
    of_card: StandardFigures | None  # at the card's point for that FMR; None if it has none


def beside_standard(found: Evaluation) -> StandardReport:
    """Compare an evaluation with the standard, using the scores of its decisions."""
    (at_fmr,) = (each for each in found.figures.tar_at_fmr if each.fmr == MAX_FMR)
    claims = [claim for claim in found.claims if claim.point.name == POINT]
    of_card = _of_card(claims[0], is_enough=at_fmr.threshold is not None) if claims else None
    return StandardReport(_here(at_fmr, found.figures.n_impostor), of_card)


def standard_in_words(found: StandardReport) -> Iterator[str]:
    """Yield the requirement of the standard, then a line per threshold."""
    yield f"{NAME} requires FMR at most {rate_text(MAX_FMR)} with FNMR at most {rate_text(MAX_FNMR)}"
    here, of_card = found.here, found.of_card
    if here.threshold is None:
        yield f"at the loosest threshold with this FMR here: {here.verdict}"
    else:
        at = f"at {here.threshold:.5g}, the loosest threshold with this FMR here"
        yield f"{at}: FNMR {estimated(here.fnmr)}: {here.verdict}"
    if of_card is not None:
        rates = f"FMR {estimated(of_card.fmr)}, FNMR {estimated(of_card.fnmr)}"
        yield f"at the card's {POINT}: {rates}: {of_card.verdict}"


def verdict_of(allowed: Sequence[tuple[Estimate, float]], *, is_enough: bool) -> Verdict:
    """Compare the intervals of rates with their limits; `is_enough`: enough comparisons for the standard's FMR.

    A rate whose interval is entirely above its limit decides, even if another has too few comparisons.
    """
    intervals = [(found.interval, most) for found, most in allowed]
    if any(interval is not None and interval[0] > most for interval, most in intervals):
        return "does not meet"
    if not is_enough or any(interval is None for interval, _ in intervals):
        return "too few comparisons to say"
    is_met = all(interval is not None and interval[1] <= most for interval, most in intervals)
    return "meets" if is_met else "cannot be told"


def _here(found: TarAtFmr, n_impostor: int) -> StandardFigures:
    """Derive FNMR from TAR. Only FNMR is checked, because the threshold was chosen for the FMR."""
    if found.threshold is None or found.tar.value is None:
        return StandardFigures(None, Estimate(None, None), Estimate(None, None), "too few comparisons to say")
    between = found.tar.interval
    fnmr = Estimate(1 - found.tar.value, None if between is None else (1 - between[1], 1 - between[0]))
    fmr = Estimate((found.n_false_matches or 0) / n_impostor, None)
    return StandardFigures(found.threshold, fmr, fnmr, verdict_of([(fnmr, MAX_FNMR)], is_enough=True))


def _of_card(claim: ClaimCheck, *, is_enough: bool) -> StandardFigures:
    verdict = verdict_of([(claim.fmr, MAX_FMR), (claim.fnmr, MAX_FNMR)], is_enough=is_enough)
    return StandardFigures(claim.point.threshold, claim.fmr, claim.fnmr, verdict)
