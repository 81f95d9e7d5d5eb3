"""`visavis verify`: two photos in, one verdict out. Exit status as `cmp`: 0 same person, 1 different, 2 trouble."""

import json
import sys
from dataclasses import asdict
from typing import NoReturn

import click

from embedder import Comparison, FaceChoice, OperatingPoint, QualityChoice, Running, Sample, SampleError, load

from ..comparison import EVEN
from ..types import QUALITY_CHOICES
from .options import face_option, json_option, model_option, read_file, running_options, stop
from .rates import percent, rate_in_words
from .records import sample_record

SCALE_WIDTH = 40
SCALE_END = 1.2  # distance at the right end of the drawn scale


def _a_prior(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    if not 0 < value < 1:  # click's own range lets NaN pass
        raise click.BadParameter(f"a probability between 0 and 1, both excluded, not {value}")
    return value


@click.command()
@click.argument("probe")
@click.argument("reference")
@face_option
@click.option(
    "--operating-point",
    metavar="NAME|fmr=X",
    help="How strict: a point of the model card, or the nearest whose FMR is at most X; default: the card's choice.",
)
@click.option(
    "--prior",
    type=float,
    default=EVEN,
    show_default=True,
    callback=_a_prior,
    metavar="P",
    help="How probable one person is before the photos are seen; the answer's probability rests on it.",
)
@click.option(
    "--quality",
    type=click.Choice(QUALITY_CHOICES),
    default="refuse",
    show_default=True,
    help="What to do about a photo so poor that most genuine pairs of its like are lost.",
)
@model_option
@running_options
@json_option
def verify(  # noqa: PLR0913 - one for each word that the command takes
    probe: str,
    reference: str,
    *,
    face: FaceChoice,
    operating_point: str | None,
    prior: float,
    quality: QualityChoice,
    model_path: str | None,
    running: Running,
    as_json: bool,
) -> None:
    """Say whether PROBE and REFERENCE show one person.

    Exit status: 0 the same person, 1 different persons, 2 trouble.
    """
    paths = {"probe": probe, "reference": reference}
    images = [read_file(path) for path in paths.values()]  # before the model is loaded: a slip is told at once
    embedder = load(model_path, running=running)
    try:
        comparison = embedder.verify(*images, face=face, operating_point=operating_point, prior=prior, quality=quality)
    except SampleError as error:
        _stop_for(error, paths)
    click.echo(_as_json(comparison) if as_json else _as_text(comparison))
    sys.exit(0 if comparison.same else 1)


def _stop_for(error: SampleError, paths: dict[str, str]) -> NoReturn:
    role = error.image or "probe"
    stop(f"{role} {paths[role]}: {error}")


def _as_json(comparison: Comparison) -> str:
    point = comparison.operating_point
    answer = {
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
    return json.dumps(answer, indent=2)


def _as_text(comparison: Comparison) -> str:
    verdict = "The same person." if comparison.same else "Different persons."
    colour = "green" if comparison.same else "yellow"
    side = "below" if comparison.same else "not below"
    return "\n".join(
        [
            click.style(verdict, fg=colour, bold=True),
            f"  distance {comparison.distance:.3f}, {side} this pair's threshold {comparison.threshold:.3f}",
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
    """The distance (*) and the threshold (|) on a line from 0 to 1.2."""
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
