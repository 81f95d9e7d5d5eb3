"""`visavis verify`: compare two photos. Exit status as of `cmp`: 0 same person, 1 different persons, 2 error."""

import json
import sys
from dataclasses import asdict

import click

from embedder import RuntimeOptions, SampleError, VerifyOptions, load

from .options import (
    json_option,
    model_option,
    read_file,
    require_one_stdin,
    running_options,
    stop_for,
    verify_options,
)
from .output import comparison_record, comparison_text


@click.command()
@click.argument("probe")
@click.argument("reference")
@verify_options
@model_option
@running_options
@json_option
def verify(
    probe: str,
    reference: str,
    *,
    options: VerifyOptions,
    model_path: str | None,
    running: RuntimeOptions,
    as_json: bool,
) -> None:
    """Decide whether PROBE and REFERENCE show one person. One of them may be - for standard input.

    Exit status: 0 same person, 1 different persons, 2 error.
    """
    paths = {"probe": probe, "reference": reference}
    require_one_stdin([probe, reference])
    images = [read_file(path) for path in paths.values()]  # before the model is loaded, to report errors at once
    try:
        with load(model_path, running=running) as embedder:
            comparison = embedder.verify(*images, **asdict(options))
    except SampleError as error:
        stop_for(error, paths)
    click.echo(json.dumps(comparison_record(comparison), indent=2) if as_json else comparison_text(comparison))
    sys.exit(0 if comparison.same else 1)
