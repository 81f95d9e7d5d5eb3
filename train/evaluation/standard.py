"""Does the model meet NIST SP 800-63A on these photos? The standard asks for an FMR and an FNMR at one threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .record import ClaimCheck, Estimate, Evaluation, TarAtFmr, estimated, rate_text

NAME = "NIST SP 800-63A"
MAX_FMR, MAX_FNMR = 1e-4, 1e-2  # 1 in 10,000 and 1 in 100
POINT = "fmr-1e-4"  # of a card: the one that claims the standard's FMR

Verdict = Literal["meets", "does not meet", "cannot be told", "too few comparisons to say"]


@dataclass(frozen=True, slots=True)
class StandardFigures:
    """Both error rates at one threshold, and whether they are what the standard asks for."""

    threshold: float | None  # None: too few impostor comparisons to choose one
    fmr: Estimate
    fnmr: Estimate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StandardReport:
    """A model on these photos beside the standard. A failure to acquire counts as no error."""

    here: StandardFigures  # at the loosest threshold whose FMR here is low enough
    of_card: StandardFigures | None  # at the card's own point for that FMR; None where it has none


def beside_standard(found: Evaluation) -> StandardReport:
    """Return what an evaluation says of the standard, by the scores that decided."""
    (at_fmr,) = (each for each in found.figures.tar_at_fmr if each.fmr == MAX_FMR)
    claims = [claim for claim in found.claims if claim.point.name == POINT]
    of_card = _of_card(claims[0], is_enough=at_fmr.threshold is not None) if claims else None
    return StandardReport(_here(at_fmr, found.figures.n_impostor), of_card)


def standard_in_words(found: StandardReport) -> Iterator[str]:
    """Say what the standard asks for, and then a line for each threshold."""
    yield f"{NAME} asks for FMR at most {rate_text(MAX_FMR)} with FNMR at most {rate_text(MAX_FNMR)}"
    here, of_card = found.here, found.of_card
    if here.threshold is None:
        yield f"at the loosest threshold with such an FMR here: {here.verdict}"
    else:
        at = f"at {here.threshold:.5g}, the loosest threshold with such an FMR here"
        yield f"{at}: FNMR {estimated(here.fnmr)}: {here.verdict}"
    if of_card is not None:
        rates = f"FMR {estimated(of_card.fmr)}, FNMR {estimated(of_card.fnmr)}"
        yield f"at the card's {POINT}: {rates}: {of_card.verdict}"


def verdict_of(allowed: Sequence[tuple[Estimate, float]], *, is_enough: bool) -> Verdict:
    """Judge rates by their intervals, each beside what is allowed; `is_enough`: so low an FMR can be measured here.

    A rate whose interval lies wholly above what is allowed decides, however few comparisons there are for another.
    """
    intervals = [(found.interval, most) for found, most in allowed]
    if any(interval is not None and interval[0] > most for interval, most in intervals):
        return "does not meet"
    if not is_enough or any(interval is None for interval, _ in intervals):
        return "too few comparisons to say"
    is_met = all(interval is not None and interval[1] <= most for interval, most in intervals)
    return "meets" if is_met else "cannot be told"


def _here(found: TarAtFmr, n_impostor: int) -> StandardFigures:
    """Read FNMR off TAR; it alone is judged, as the threshold was chosen for the FMR."""
    if found.threshold is None or found.tar.value is None:
        return StandardFigures(None, Estimate(None, None), Estimate(None, None), "too few comparisons to say")
    between = found.tar.interval
    fnmr = Estimate(1 - found.tar.value, None if between is None else (1 - between[1], 1 - between[0]))
    fmr = Estimate((found.n_false_matches or 0) / n_impostor, None)
    return StandardFigures(found.threshold, fmr, fnmr, verdict_of([(fnmr, MAX_FNMR)], is_enough=True))


def _of_card(claim: ClaimCheck, *, is_enough: bool) -> StandardFigures:
    verdict = verdict_of([(claim.fmr, MAX_FMR), (claim.fnmr, MAX_FNMR)], is_enough=is_enough)
    return StandardFigures(claim.point.threshold, claim.fmr, claim.fnmr, verdict)
