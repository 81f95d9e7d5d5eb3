"""`visavis verify`: two photos in, one verdict out. Exit status as `cmp`: 0 same person, 1 different, 2 trouble."""

import json
import sys

import click

from embedder import FaceChoice, QualityChoice, RuntimeOptions, SampleError, load

from .options import face_option, json_option, judging_options, model_option, read_file, running_options, stop_for
from .output import comparison_record, comparison_text


@click.command()
@click.argument("probe")
@click.argument("reference")
@face_option
@judging_options
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
    running: RuntimeOptions,
    as_json: bool,
) -> None:
    """Say whether PROBE and REFERENCE show one person.

    Exit status: 0 the same person, 1 different persons, 2 trouble.
    """
    paths = {"probe": probe, "reference": reference}
    images = [read_file(path) for path in paths.values()]  # before the model is loaded: a slip is told at once
    try:
        with load(model_path, running=running) as embedder:
            comparison = embedder.verify(
                *images, face=face, operating_point=operating_point, prior=prior, quality=quality
            )
    except SampleError as error:
        stop_for(error, paths)
    click.echo(json.dumps(comparison_record(comparison), indent=2) if as_json else comparison_text(comparison))
    sys.exit(0 if comparison.same else 1)
