"""Open-set identification: FNIR over FPIR for galleries of several sizes, beside what the model's card claims.

Terms as in ISO/IEC 19795-1. The galleries and their searches are those of `searches.py`; a search finds the nearest
person, if that person's score is below the threshold. Intervals resample the people: a non-mated search counts as often
as its person was drawn, times the person that it found; a mated one as often as its person.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from embedder import ModelCard, Progress, no_progress
from gallery import Claim, ClaimUnavailable, claim_for

from .bootstrap import Resampling, interval
from .compared import ComparedPhotos
from .measure import FmrAt, FnmrAt, Measurement, Statistic, TarAt, measure
from .metrics import MIN_FALSE_MATCHES, ROUNDING, Floats, ScoreDistribution
from .protocols.protocol import Indices
from .results import DetCurve, Estimate, FnirAtFpir, GalleryResult, IdentificationClaim, IdentificationReport
from .scores import ComparisonKind
from .searches import SearchedGalleries, search_galleries

FPIR_TARGETS = (1e-1, 1e-2, 1e-3)
NOT_STATED = Estimate(None, None)
CURVE_FPIRS = tuple(float(rate) for rate in np.geomspace(1e-4, 0.5, 38))


def rank_1(genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:  # noqa: ARG001 - as every figure
    """Compute the share of mated searches in which nobody is nearer than the right person: (1,)."""
    return genuine.share_below([np.inf])


@dataclass(frozen=True, slots=True)
class FnirAt:
    """FNIR at the loosest thresholds whose FPIR is at most each of `fpirs`."""

    fpirs: tuple[float, ...]

    def __call__(self, genuine: ScoreDistribution, impostor: ScoreDistribution) -> Floats:
        """Compute FNIR: (f,)."""
        return 1 - TarAt(self.fpirs)(genuine, impostor)


def evaluate_identification(
    compared: ComparedPhotos,
    card: ModelCard,
    templates_per_person: int,
    resampling: Resampling,
    progress: Progress = no_progress,
) -> IdentificationReport:
    """Measure identification on the photos of a protocol, whatever its comparisons. Raises ProtocolError."""
    searched = search_galleries(compared, templates_per_person, resampling.seed, progress)
    galleries = tuple(_result(each, card, templates_per_person, resampling) for each in searched)
    return IdentificationReport(templates_per_person, galleries)


def _result(
    searched: SearchedGalleries, card: ModelCard, templates_per_person: int, resampling: Resampling
) -> GalleryResult:
    scores, claims = searched.scores, _claims_of(card, searched.n_templates)
    measured = measure(scores, _statistics(claims.values()), resampling)
    checked = [_checked(searched, asked, claim, measured, k) for k, (asked, claim) in enumerate(claims.items())]
    if templates_per_person > 1:
        checked = [replace(each, claimed_fnir=NOT_STATED) for each in checked]
    return GalleryResult(
        n_people=searched.n_people,
        n_templates=searched.n_templates,
        n_draws=searched.n_draws,
        n_mated=round(scores.genuine.tally.n),
        n_non_mated=round(scores.impostor.tally.n),
        rank_1=measured["rank_1"].rate(0, scores.genuine.n_pairs),
        at_fpir=tuple(_at_fpir(searched, fpir, measured["at_fpir"], k) for k, fpir in enumerate(FPIR_TARGETS)),
        claims=(*checked, *(_not_claimed(fpir) for fpir in FPIR_TARGETS if fpir not in claims)),
        curve=_curve(searched, measured["curve"]),
    )


def _claims_of(card: ModelCard, n_templates: int) -> dict[float, Claim]:
    """Return what the card claims, by the FPIR asked for, loosest first; a stricter one that it does not is absent."""
    claims = {}
    for fpir in FPIR_TARGETS:
        with suppress(ClaimUnavailable):
            claims[fpir] = claim_for(card, fpir=fpir, n_templates=n_templates)
    return claims


def _statistics(claims: Iterable[Claim]) -> dict[str, Statistic]:
    thresholds = tuple(claim.threshold for claim in claims)
    return {
        "rank_1": rank_1,
        "at_fpir": FnirAt(FPIR_TARGETS),
        "curve": FnirAt(CURVE_FPIRS),
        "fpir": FmrAt(thresholds),
        "fnir": FnmrAt(thresholds),
    }


def _is_carried(searched: SearchedGalleries, fmr: float) -> bool:
    """Check for enough different impostor comparisons to state this FMR of one comparison."""
    return searched.n_impostor * fmr * (1 + ROUNDING) >= MIN_FALSE_MATCHES


def _at_fpir(searched: SearchedGalleries, fpir: float, measured: Measurement, k: int) -> FnirAtFpir:
    if not _is_carried(searched, fpir / searched.n_templates):
        return FnirAtFpir(fpir, NOT_STATED, None)
    found = measured.rate(k, searched.scores.genuine.n_pairs)
    return FnirAtFpir(fpir, found, float(searched.scores.impostor.tally.loosest(fpir)))


def _checked(
    searched: SearchedGalleries, asked_fpir: float, claim: Claim, measured: dict[str, Measurement], k: int
) -> IdentificationClaim:
    scores = searched.scores
    return IdentificationClaim(
        asked_fpir=asked_fpir,
        threshold=claim.threshold,
        claimed_fpir=Estimate(claim.fpir, claim.fpir_interval),
        claimed_fnir=Estimate(claim.fnir, claim.fnir_interval),
        fpir=measured["fpir"].rate(k, _n_people(scores.impostor, scores.identities)),
        fnir=measured["fnir"].rate(k, scores.genuine.n_pairs),
        is_carried=_is_carried(searched, claim.fmr),
    )


def _not_claimed(fpir: float) -> IdentificationClaim:
    return IdentificationClaim(fpir, None, NOT_STATED, NOT_STATED, NOT_STATED, NOT_STATED, is_carried=False)


def _n_people(searches: ComparisonKind, identities: Indices) -> int:
    return len(np.unique(identities[searches.sample.probe]))


def _curve(searched: SearchedGalleries, measured: Measurement) -> DetCurve:
    """Return FNIR over FPIR, where there are enough comparisons."""
    stated = [k for k, fpir in enumerate(CURVE_FPIRS) if _is_carried(searched, fpir / searched.n_templates)]
    bands = [interval(measured.draws[:, k]) or (np.nan, np.nan) for k in stated]
    low, high = np.array(bands, np.float64).reshape(-1, 2).T
    return DetCurve(np.array(CURVE_FPIRS)[stated], measured.values[stated], low, high)
