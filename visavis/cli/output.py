"""The output of commands for faces, comparisons and several images: as text, and as records for JSON."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from textwrap import indent
from typing import Generic, TypeVar

import click

from embedder import Comparison, Face, Grade, OperatingPoint, Sample, SampleError, percent, printable, rate_in_words
from embedder.explain import Layer

from .main import EXIT_TROUBLE, MAX_PATH
from .options import image_bytes, require_one_stdin


def layer_record(layer: Layer) -> dict[str, object]:
    """Return the record of one layer."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "notation": layer.notation,
        "takes": layer.takes,
        "adds": layer.adds,
        "activation": layer.activation,
        "shape": layer.shape,
        "receptive_field_px": layer.receptive_field_px,
        "mixes": layer.mixes,
        "parameters": layer.parameters,
        "macs": layer.macs,
    }


def face_record(face: Face) -> dict[str, object]:
    """Return the record of one detected face: box, landmarks, score."""
    return asdict(face)


def rotation_text(face: Face) -> str:
    """Return the rotation of a face in words, to append; empty if it is upright."""
    return f", rotated by {face.rotation} degrees" if face.rotation else ""


def faces_text(path: str, faces: Sequence[Face], remarks: Sequence[str]) -> str:
    """Return the faces of an image as lines: index, size and place, with a remark on each."""
    counted = "no face" if not faces else "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    return "\n".join([f"{printable(path, MAX_PATH)}: {counted}", *map(_face_text, range(len(faces)), faces, remarks)])


def _face_text(index: int, face: Face, remark: str) -> str:
    box = face.box
    return f"  {index:<3} {box.width:5.0f} x {box.height:<5.0f} at {box.x:.0f}, {box.y:.0f}  {remark}"


def sample_record(sample: Sample) -> dict[str, object]:
    """Return the record of the selected face, with the rule that selected it and the photo's quality."""
    chosen = {"choice": sample.choice, "n_faces": sample.n_faces}
    return face_record(sample.face) | chosen | {"quality": quality_record(sample)}


def quality_record(sample: Sample) -> dict[str, object]:
    """Return all quality measures; the fields of the card's penalty are null if it has none."""
    rule = dict.fromkeys(field.name for field in fields(Grade)) if sample.grade is None else asdict(sample.grade)
    no_longer_known = {"embedding_length": None}  # the key stays for one release
    cover = {"covered": sample.quality.covered, "covered_part": sample.quality.covered_part}
    return asdict(sample.quality) | cover | no_longer_known | rule


def other_files_text(n_others: int) -> list[str]:
    """Return the line that counts the files in folders that are not photos by name; none if there are none."""
    return [f"{n_others:,} other files ignored: not photos by name, or hidden"] if n_others else []


SCALE_WIDTH = 40
SCALE_END = 1.6  # distance at the right end of the drawn scale


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """Return the record of a comparison."""
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
        "notes": list(comparison.notes),
        "model": asdict(comparison.model),
    }


def comparison_text(comparison: Comparison) -> str:
    """Return the verdict and its reasons as text."""
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
            *(f"  note         {note}" for note in comparison.notes),
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
        return "unknown: this model was not calibrated; run visavis calibrate"
    known = f"prior {comparison.prior:g}, log-likelihood ratio {comparison.log_likelihood_ratio:+.2f}"
    return f"{percent(comparison.probability)} that it is one person ({known})"


def _scale(distance: float, threshold: float) -> str:
    """Draw the distance (*) and the threshold (|) on a line from 0 to 1.6."""
    line = ["·"] * (SCALE_WIDTH + 1)
    for value, mark in ((threshold, "|"), (distance, "*")):
        line[round(min(max(value, 0), SCALE_END) / SCALE_END * SCALE_WIDTH)] = mark
    return f"similar 0 {''.join(line)} {SCALE_END:g} different"


def _counted(sample: Sample) -> str:
    choice = f"index {sample.choice}" if sample.choice.isdecimal() else sample.choice
    if sample.n_faces is None:
        return f"{choice} face"
    return "1 face" if sample.n_faces == 1 else f"{sample.n_faces} faces, {choice} used"


def _found(sample: Sample) -> str:
    box = sample.face.box
    faces = _counted(sample) + rotation_text(sample.face)
    grade = sample.grade
    poor = " (too poor for this model's error rates)" if grade is not None and grade.is_too_poor else ""
    return f"{faces}, {box.width:.0f}x{box.height:.0f} px, sharpness {sample.quality.sharpness:.2f}{poor}"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImageFault:
    """The error of an image without a result."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutputFormat(Generic[T]):
    """The two formats of a result: text, with the image's path, and a record for JSON."""

    text: Callable[[str, T], str]
    record: Callable[[T], dict[str, object]]


def answer_each(paths: Sequence[str], work: Callable[[bytes], T], view: OutputFormat[T], *, as_json: bool) -> None:
    """Run `work` on each image, print each result at once, and exit with status 2 if an image has none."""
    require_one_stdin(paths)
    has_fault = False
    for place, path in enumerate(paths):
        outcome = _outcome(path, work)
        has_fault = has_fault or isinstance(outcome, ImageFault)
        if as_json:
            click.echo((",\n" if place else "[\n") + _json(path, outcome, view), nl=False)
        else:
            click.echo(_text(path, outcome, view))
    if as_json:
        click.echo("\n]")
    sys.exit(EXIT_TROUBLE if has_fault else 0)


def _outcome(path: str, work: Callable[[bytes], T]) -> T | ImageFault:
    try:
        return work(image_bytes(path))
    except OSError as error:
        return ImageFault("not_readable", f"{error.strerror or error}; give the path of an image file")
    except SampleError as error:
        return ImageFault(error.code, str(error))


def _json(path: str, outcome: T | ImageFault, view: OutputFormat[T]) -> str:
    """Return one item of the printed list."""
    return indent(json.dumps({"image": path} | _record(outcome, view), indent=2), "  ")


def _record(outcome: T | ImageFault, view: OutputFormat[T]) -> dict[str, object]:
    if isinstance(outcome, ImageFault):
        return {"error": {"code": outcome.code, "detail": outcome.detail}}
    return view.record(outcome)


def _text(path: str, outcome: T | ImageFault, view: OutputFormat[T]) -> str:
    return (
        f"{printable(path, MAX_PATH)}: {outcome.detail}"
        if isinstance(outcome, ImageFault)
        else view.text(path, outcome)
    )
