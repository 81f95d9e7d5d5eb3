"""A comparison as it is told: in words with a drawn scale, and as a record for programs."""

from dataclasses import asdict

import click

from embedder import Comparison, OperatingPoint, Sample, percent, rate_in_words

from .records import sample_record

SCALE_WIDTH = 40
SCALE_END = 1.6  # distance at the right end of the drawn scale


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """All of it, as JSON has it."""
    point = comparison.operating_point
    return {
        "same": comparison.same,
        "distance": comparison.distance,
        "threshold": comparison.threshold,
        "threshold_reason": comparison.threshold_reason,
        "normalized_distance": comparison.normalized_distance,
        "operating_point": None if point is None else point.model_dump(mode="json"),
        "probability": comparison.probability,
        "log_likelihood_ratio": comparison.log_likelihood_ratio,
        "prior": comparison.prior,
        "probe": sample_record(comparison.probe),
        "reference": sample_record(comparison.reference),
        "model": asdict(comparison.model),
    }


def comparison_text(comparison: Comparison) -> str:
    """The verdict, and what it rests on."""
    verdict = "The same person." if comparison.same else "Different persons."
    colour = "green" if comparison.same else "yellow"
    side = "below" if comparison.same else "not below"
    return "\n".join(
        [
            click.style(verdict, fg=colour, bold=True),
            f"  distance {comparison.distance:.3f}, {side} the threshold {comparison.threshold:.3f}",
            f"  {_scale(comparison.distance, comparison.threshold)}",
            f"  why          {comparison.threshold_reason}",
            *(_point_in_words(comparison.operating_point) if comparison.operating_point else []),
            f"  probability  {_probability_in_words(comparison)}",
            f"  probe        {_found(comparison.probe)}",
            f"  reference    {_found(comparison.reference)}",
            f"  model        {comparison.model.name}  {comparison.model.digest[:19]}",
        ]
    )


def _point_in_words(point: OperatingPoint) -> list[str]:
    return [
        f"  point        {point.name}",
        f"  FMR          {rate_in_words(point.fmr, point.fmr_interval)}: two people taken for one",
        f"  FNMR         {rate_in_words(point.fnmr, point.fnmr_interval)}: one person taken for two",
    ]


def _probability_in_words(comparison: Comparison) -> str:
    if comparison.probability is None or comparison.log_likelihood_ratio is None:
        return "not known: this model was not calibrated; run visavis calibrate"
    known = f"prior {comparison.prior:g}, log-likelihood ratio {comparison.log_likelihood_ratio:+.2f}"
    return f"{percent(comparison.probability)} that it is one person ({known})"


def _scale(distance: float, threshold: float) -> str:
    """The distance (*) and the threshold (|) on a line from 0 to 1.6."""
    line = ["·"] * (SCALE_WIDTH + 1)
    for value, mark in ((threshold, "|"), (distance, "*")):
        line[round(min(max(value, 0), SCALE_END) / SCALE_END * SCALE_WIDTH)] = mark
    return f"alike 0 {''.join(line)} {SCALE_END:g} unlike"


def _counted(sample: Sample) -> str:
    if sample.n_faces is None:
        return f"{sample.choice} face"
    return "1 face" if sample.n_faces == 1 else f"{sample.n_faces} faces, {sample.choice} taken"


def _found(sample: Sample) -> str:
    box = sample.face.box
    faces = _counted(sample) + (f", turned by {sample.face.rotation} degrees" if sample.face.rotation else "")
    grade = sample.grade
    poor = " (too poor for this model's claims)" if grade is not None and grade.is_too_poor else ""
    return f"{faces}, {box.width:.0f}x{box.height:.0f} px, sharpness {sample.quality.sharpness:.2f}{poor}"
