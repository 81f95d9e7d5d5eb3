"""`visavis verify`: two photos in, one verdict out. Exit status as `cmp`: 0 same person, 1 different, 2 trouble."""

import json
import sys
from dataclasses import asdict
from typing import NoReturn

import click

from embedder import Comparison, FaceChoice, FaceEmbedder, Sample, SampleError

from .options import face_option, json_option, load_model, model_option, read_file, stop
from .records import sample_record

SCALE_WIDTH = 40
SCALE_END = 1.2  # distance at the right end of the drawn scale


@click.command()
@click.argument("probe")
@click.argument("reference")
@face_option
@model_option
@json_option
def verify(probe: str, reference: str, face: FaceChoice, model_path: str | None, *, as_json: bool) -> None:
    """Say whether PROBE and REFERENCE show one person.

    Exit status: 0 the same person, 1 different persons, 2 trouble.
    """
    paths = {"probe": probe, "reference": reference}
    images = [read_file(path) for path in paths.values()]  # before the model is loaded: a slip is told at once
    embedder = load_model(model_path)
    try:
        comparison = embedder.verify(*images, face=face)
    except SampleError as error:
        _stop_for(error, paths)
    click.echo(_as_json(comparison) if as_json else _as_text(comparison, embedder))
    sys.exit(0 if comparison.same else 1)


def _stop_for(error: SampleError, paths: dict[str, str]) -> NoReturn:
    role = error.image or "probe"
    stop(f"{role} {paths[role]}: {error}")


def _as_json(comparison: Comparison) -> str:
    answer = {
        "same": comparison.same,
        "distance": comparison.distance,
        "threshold": comparison.threshold,
        "operating_point": comparison.operating_point,
        "probe": sample_record(comparison.probe),
        "reference": sample_record(comparison.reference),
        "model": asdict(comparison.model),
    }
    return json.dumps(answer, indent=2)


def _as_text(comparison: Comparison, embedder: FaceEmbedder) -> str:
    verdict = "The same person." if comparison.same else "Different persons."
    colour = "green" if comparison.same else "yellow"
    point = embedder.card.point(comparison.operating_point or embedder.card.default_point)
    rates = "error rates not measured" if point.fmr is None else f"FMR {point.fmr:.2g}"
    side = "below" if comparison.same else "not below"
    distance = f"{comparison.distance:.3f}, {side} the threshold {comparison.threshold:g}"
    return "\n".join(
        [
            click.style(verdict, fg=colour, bold=True),
            f"  distance {distance} ({point.name}: {rates})",
            f"  {_scale(comparison.distance, comparison.threshold)}",
            f"  probe:     {_found(comparison.probe)}",
            f"  reference: {_found(comparison.reference)}",
            f"  model:     {comparison.model.name}  {comparison.model.digest[:19]}",
        ]
    )


def _scale(distance: float, threshold: float) -> str:
    """The distance (*) and the threshold (|) on a line from 0 to 1.2."""
    line = ["·"] * (SCALE_WIDTH + 1)
    for value, mark in ((threshold, "|"), (distance, "*")):
        line[round(min(value, SCALE_END) / SCALE_END * SCALE_WIDTH)] = mark
    return f"alike 0 {''.join(line)} {SCALE_END:g} unlike"


def _found(sample: Sample) -> str:
    box = sample.face.box
    faces = "1 face" if sample.n_faces == 1 else f"{sample.n_faces} faces, {sample.choice} taken"
    return f"{faces}, {box.width:.0f}x{box.height:.0f} px, detector score {sample.face.score:.3f}"
