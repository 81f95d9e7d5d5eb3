"""Open-set identification: FNIR over FPIR for galleries of several sizes, beside what the model's card claims.

Terms as in ISO/IEC 19795-1. The galleries and their searches are those of `searches.py`; a search finds the nearest
person, if that person's score is below the threshold. Intervals resample the people: a non-mated search counts as often
as its person was drawn, times the person that it found; a mated one as often as its person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedder import ModelCard, OperatingPoint, Progress, no_progress

from .bootstrap import Resampling, interval
from .compared import ComparedPhotos
from .measure import FmrAt, FnmrAt, Measurement, Statistic, TarAt, measure
from .metrics import MIN_FALSE_MATCHES, ROUNDING, Floats, ScoreDistribution
from .protocols.protocol import Indices
from .results import DetCurve, Estimate, FnirAtFpir, GalleryResult, IdentificationClaim, IdentificationReport
from .scores import ComparisonKind
from .searches import SearchedGalleries, search_galleries

FPIR_TARGETS = (1e-1, 1e-2, 1e-3)
CURVE_FPIRS = tuple(float(rate) for rate in np.geomspace(1e-4, 0.5, 38))


def fpir_of(fmr: float, n_templates: int) -> float:
    """Return the FPIR that follows from an FMR: 1 - (1 - FMR)^n, as if comparisons were independent."""
    return float(-np.expm1(n_templates * np.log1p(-fmr)))


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
    points = card.operating_points
    galleries = tuple(_result(each, points, templates_per_person, resampling) for each in searched)
    return IdentificationReport(templates_per_person, galleries)


def _result(
    searched: SearchedGalleries, points: Sequence[OperatingPoint], templates_per_person: int, resampling: Resampling
) -> GalleryResult:
    scores = searched.scores
    measured = measure(scores, _statistics(points), resampling)
    n_mated_people = scores.genuine.n_pairs
    return GalleryResult(
        n_people=searched.n_people,
        n_templates=searched.n_templates,
        n_draws=searched.n_draws,
        n_mated=round(scores.genuine.tally.n),
        n_non_mated=round(scores.impostor.tally.n),
        rank_1=measured["rank_1"].rate(0, n_mated_people),
        at_fpir=tuple(_at_fpir(searched, fpir, measured["at_fpir"], k) for k, fpir in enumerate(FPIR_TARGETS)),
        claims=_claims(searched, points, templates_per_person, measured),
        curve=_curve(searched, measured["curve"]),
    )


def _statistics(points: Sequence[OperatingPoint]) -> dict[str, Statistic]:
    thresholds = tuple(point.threshold for point in points)
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
        return FnirAtFpir(fpir, Estimate(None, None), None)
    found = measured.rate(k, searched.scores.genuine.n_pairs)
    return FnirAtFpir(fpir, found, float(searched.scores.impostor.tally.loosest(fpir)))


def _claims(
    searched: SearchedGalleries,
    points: Sequence[OperatingPoint],
    templates_per_person: int,
    measured: dict[str, Measurement],
) -> tuple[IdentificationClaim, ...]:
    scores, n_templates = searched.scores, searched.n_templates
    n_mated, n_non_mated = scores.genuine.n_pairs, _n_people(scores.impostor, scores.identities)
    return tuple(
        IdentificationClaim(
            point=point,
            claimed_fpir=_claimed_fpir(point, n_templates),
            claimed_fnir=Estimate(point.fnmr, point.fnmr_interval)
            if templates_per_person == 1
            else Estimate(None, None),
            fpir=measured["fpir"].rate(k, n_non_mated),
            fnir=measured["fnir"].rate(k, n_mated),
            is_carried=point.fmr is not None and _is_carried(searched, point.fmr),
        )
        for k, point in enumerate(points)
    )


def _claimed_fpir(point: OperatingPoint, n_templates: int) -> Estimate:
    if point.fmr is None:
        return Estimate(None, None)
    between = point.fmr_interval
    ends = None if between is None else (fpir_of(between[0], n_templates), fpir_of(between[1], n_templates))
    return Estimate(fpir_of(point.fmr, n_templates), ends)


def _n_people(searches: ComparisonKind, identities: Indices) -> int:
    return len(np.unique(identities[searches.sample.probe]))


def _curve(searched: SearchedGalleries, measured: Measurement) -> DetCurve:
    """Return FNIR over FPIR, where there are enough comparisons."""
    stated = [k for k, fpir in enumerate(CURVE_FPIRS) if _is_carried(searched, fpir / searched.n_templates)]
    bands = [interval(measured.draws[:, k]) or (np.nan, np.nan) for k in stated]
    low, high = np.array(bands, np.float64).reshape(-1, 2).T
    return DetCurve(np.array(CURVE_FPIRS)[stated], measured.values[stated], low, high)
