"""The output of `visavis evaluate` and `visavis check-labels`, as text or as JSON."""

from collections import Counter
from dataclasses import asdict, dataclass
from math import log10
from typing import Any

from .groups import GroupCell, GroupRate, GroupReport
from .model_comparison import FigureDifference, ModelComparison
from .nist_800_63a import MAX_FMR, MAX_FNMR, NAME, POINT, StandardFigures, StandardReport, beside_standard
from .results import (
    Accuracy,
    ClaimCheck,
    Estimate,
    Evaluation,
    Evidence,
    Failures,
    Figures,
    GalleryResult,
    IdentificationClaim,
    IdentificationReport,
    LabelReport,
    Refusals,
)
from .text import evaluation_text, groups_text, versus_text


def evaluation_record(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON; a rate is null if there are too few comparisons to state it."""
    of_tar = {_key(each.fmr): each for each in found.figures.tar_at_fmr}
    return {
        **_figures(found.figures),
        "scores": found.score_kind,
        "threshold": found.threshold.value,
        "threshold_source": found.threshold.source,
        "fold_thresholds": list(found.threshold.of_folds),
        "threshold_at_fmr": {key: each.threshold for key, each in of_tar.items()},
        "false_matches_at_fmr": {key: each.n_false_matches for key, each in of_tar.items()},
        "failures_to_acquire": _failures(found.failures),
        "refused_for_low_quality": None if found.refusals is None else _refusals(found.refusals),
        "with_failures_as_non_matches": _figures(found.with_failures),
        "intervals": _intervals(found),
        "claims": [_claim(claim) for claim in found.claims],
        "standard": _standard(beside_standard(found)),
        "probability": None if found.evidence is None else _evidence(found.evidence),
        "identification": None if found.identification is None else _identification(found.identification),
        "cautions": list(found.cautions),
        "data": asdict(found.data),
        "model": asdict(found.model) | {"mirror": found.mirror},
        "resampling": asdict(found.resampling),
        "versions": dict(found.versions),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "accuracy": _accuracy(figures.accuracy),
        "eer": figures.eer.value,
        "tar_at_fmr": {_key(each.fmr): each.tar.value for each in figures.tar_at_fmr},
        "fmr_at_threshold": figures.fmr.value,
        "fnmr_at_threshold": figures.fnmr.value,
        "n_genuine": figures.n_genuine,
        "n_impostor": figures.n_impostor,
    }


def _accuracy(accuracy: Accuracy | None) -> dict[str, float] | None:
    return None if accuracy is None else {"mean": accuracy.mean, "se": accuracy.se}


def _intervals(found: Evaluation) -> dict[str, Any]:
    figures = found.figures
    return {
        "accuracy": None if figures.accuracy is None else figures.accuracy.interval,
        "eer": figures.eer.interval,
        "tar_at_fmr": {_key(each.fmr): each.tar.interval for each in figures.tar_at_fmr},
        "fmr_at_threshold": figures.fmr.interval,
        "fnmr_at_threshold": figures.fnmr.interval,
        "cllr": None if found.evidence is None else found.evidence.cllr.interval,
    }


def _failures(failures: Failures) -> dict[str, Any]:
    return _left_out(failures) | {
        "photos": [{"image": photo.name, "reason": code} for photo, code in failures.photos],
        "reasons": dict(sorted(Counter(code for _, code in failures.photos).items())),
    }


def _refusals(refusals: Refusals) -> dict[str, Any]:
    return _left_out(refusals) | {"photos": [photo.name for photo in refusals.photos]}


def _left_out(photos: Failures | Refusals) -> dict[str, Any]:
    """Count the photos left out, and the comparisons not made for this reason."""
    return {
        "images": len(photos.photos),
        "comparisons": photos.n_comparisons,
        "genuine": photos.n_genuine,
        "impostor": photos.n_impostor,
    }


def _claim(claim: ClaimCheck) -> dict[str, Any]:
    point = claim.point
    return {
        "operating_point": point.name,
        "scores": claim.score_kind,
        "threshold": point.threshold,
        "claimed_fmr": _estimate(Estimate(point.fmr, point.fmr_interval)),
        "claimed_fnmr": _estimate(Estimate(point.fnmr, point.fnmr_interval)),
        "measured_fmr": _estimate(claim.fmr),
        "measured_fnmr": _estimate(claim.fnmr),
        "holds": claim.holds,
    }


def _standard(found: StandardReport) -> dict[str, Any]:
    return {
        "name": NAME,
        "fmr_at_most": MAX_FMR,
        "fnmr_at_most": MAX_FNMR,
        "here": _at_threshold(found.here),
        "operating_point": None if found.of_card is None else {"name": POINT} | _at_threshold(found.of_card),
    }


def _at_threshold(found: StandardFigures) -> dict[str, Any]:
    return {
        "threshold": found.threshold,
        "fmr": _estimate(found.fmr),
        "fnmr": _estimate(found.fnmr),
        "verdict": found.verdict,
    }


def _estimate(found: Estimate) -> dict[str, Any]:
    return {"value": found.value, "interval": found.interval}


def _evidence(found: Evidence) -> dict[str, Any]:
    of_bins = zip(found.reliability.stated, found.reliability.observed, found.reliability.share, strict=True)
    bins = [dict(zip(("stated", "observed", "share"), map(float, each), strict=True)) for each in of_bins]
    return {"cllr": found.cllr.value, "ece": found.ece, "prior": 0.5, "reliability": bins}


def _identification(report: IdentificationReport) -> dict[str, Any]:
    return {
        "templates_per_person": report.templates_per_person,
        "galleries": [_gallery(gallery) for gallery in report.galleries],
    }


def _gallery(found: GalleryResult) -> dict[str, Any]:
    of_fpir = {_key(each.fpir): each for each in found.at_fpir}
    counts = ("n_people", "n_templates", "n_draws", "n_mated", "n_non_mated")
    return {
        **{key: getattr(found, key) for key in counts},
        "rank_1": _estimate(found.rank_1),
        "fnir_at_fpir": {key: _estimate(each.fnir) for key, each in of_fpir.items()},
        "threshold_at_fpir": {key: each.threshold for key, each in of_fpir.items()},
        "claims": [_identification_claim(claim) for claim in found.claims],
    }


def _identification_claim(claim: IdentificationClaim) -> dict[str, Any]:
    return {
        "asked_fpir": claim.asked_fpir,
        "threshold": claim.threshold,
        "claimed_fpir": _estimate(claim.claimed_fpir),
        "claimed_fnir": _estimate(claim.claimed_fnir),
        "measured_fpir": _estimate(claim.fpir),
        "measured_fnir": _estimate(claim.fnir),
        "holds": claim.holds,
    }


def _key(fmr: float) -> str:
    """Return a power of ten as in the names of operating points: 1e-3."""
    return f"1e{round(log10(fmr))}"


def versus_record(versus: ModelComparison) -> dict[str, Any]:
    """Return a comparison of two models: the second evaluation, and every figure's difference (first minus second)."""
    return {
        "second": evaluation_record(versus.second),
        "differences": [_difference(each) for each in versus.differences],
        "fold_difference": _accuracy(versus.of_folds),
    }


def _difference(found: FigureDifference) -> dict[str, Any]:
    return {
        "figure": found.figure,
        "first": found.first,
        "second": found.second,
        "difference": found.difference.value,
        "interval": found.difference.interval,
        "p_value": found.p_value,
    }


def groups_record(report: GroupReport) -> dict[str, Any]:
    """Return error rates within and across groups at one threshold."""
    n_photos = dict(zip(report.names, report.n_photos, strict=True))
    return {
        "threshold": report.threshold,
        "n_photos": n_photos,
        "n_unlabelled": report.n_unlabelled,
        "all": _cell(report.overall),
        "cells": [{"first": cell.first, "second": cell.second} | _cell(cell) for cell in report.cells],
    }


def _cell(cell: GroupCell) -> dict[str, Any]:
    return {"fmr": _group_rate(cell.fmr), "fnmr": _group_rate(cell.fnmr)}


def _group_rate(found: GroupRate) -> dict[str, Any]:
    return _estimate(found.rate) | {
        "n_comparisons": found.n,
        "n_identities": found.n_identities,
        "times_all": _estimate(found.times),
        "differs": found.differs,
    }


def labels_record(report: LabelReport) -> dict[str, Any]:
    """Return the findings of a check of labels as JSON, most certain first."""
    findings = [
        {
            "rank": rank,
            "kind": found.kind,
            "pairs": [
                {
                    "name_1": pair.doubtful.identity,
                    "image_1": pair.doubtful.name,
                    "name_2": pair.other.identity,
                    "image_2": pair.other.name,
                    "distance": pair.distance,
                }
                for pair in found.pairs
            ],
            "evidence": found.evidence,
            "certainty": found.certainty,
            "advice": found.advice,
        }
        for rank, found in enumerate(report.findings, start=1)
    ]
    keys = ("n_photos", "n_names", "n_without_face", "n_too_poor", "n_other_files")
    return {**{key: getattr(report, key) for key in keys}, "findings": findings}


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationOutput:
    """An evaluation with its optional parts."""

    found: Evaluation
    versus: ModelComparison | None  # a second model
    groups: GroupReport | None  # error rates by group

    def text(self) -> str:
        """Return the output for a terminal."""
        parts = [evaluation_text(self.found)]
        if self.versus is not None:
            parts += [evaluation_text(self.versus.second), versus_text(self.versus)]
        if self.groups is not None:
            parts.append(groups_text(self.groups))
        return "\n\n".join(parts)

    def record(self) -> dict[str, Any]:
        """Return the output for JSON."""
        return evaluation_record(self.found) | {
            "against": None if self.versus is None else versus_record(self.versus),
            "groups": None if self.groups is None else groups_record(self.groups),
        }
