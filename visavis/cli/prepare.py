"""`visavis prepare`: find the faces in photos and store their chips for training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from embedder import FaceChoice, RuntimeOptions, load, show_progress
from train import (
    ChipCutter,
    PreparationResult,
    prepare,
    read_excluded,
    read_source,
    report_json,
    report_text,
    require_free_or_ours,
)

from . import data_options
from .options import running_options


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """The command's options."""

    photos: Path
    out: Path
    images: Path | None
    exclude: tuple[Path, ...]
    face: FaceChoice
    model: str | None
    running: RuntimeOptions
    as_json: bool


@click.command(name="prepare")
@click.argument("photos", type=data_options.PATH, metavar="DIR|FILE.csv")
@click.option("--out", type=data_options.PATH, required=True, metavar="DATA", help="The folder for the chips.")
@click.option(
    "--images",
    type=data_options.PATH,
    metavar="DIR",
    help="The base folder of the paths in FILE.csv (default: the file's folder).",
)
@click.option(
    "--exclude",
    type=data_options.PATH,
    metavar="DIR",
    multiple=True,
    help="Test photos, one folder per person, or a folder of chips: people with the same names and identical images "
    "are excluded. Repeatable.",
)
@click.option(
    "--face",
    type=click.Choice(["dominant", "only", "largest", "center"]),
    default="largest",
    show_default=True,
    help="Which face to use if there are several.",
)
@data_options.model_option
@running_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def prepare_command(**given: Any) -> None:
    """Find the face in each photo, on all cores, and store its aligned chip in the folder DATA for `visavis train`.

    DIR has a folder for each person, DIR/<person>/<photo>; FILE.csv has the columns image,identity. Photos that cannot
    be used are listed in DATA/skipped.csv. If the command was stopped, run it again with the same options to resume.

    DATA shows faces: protect it like the photos. Only its owner can read it.

    Exit status: 0, or 2 if the photos or DATA cannot be used.
    """
    options = PrepareOptions(**given)
    if options.images is not None and options.photos.is_dir():
        raise click.UsageError("--images needs FILE.csv; DIR is the folder of photos itself")
    prepared = _prepared(options)
    if prepared.was_finished:
        click.echo(f"{options.out} is prepared already; nothing was changed", err=True)
    lines = report_text(prepared.report, options.out)
    click.echo(report_json(prepared.report) if options.as_json else "\n".join(lines) + "\n", nl=False)


def _prepared(options: PrepareOptions) -> PreparationResult:
    require_free_or_ours(options.out)  # before photos are read
    source = read_source(options.photos, options.images)
    excluded = [read_excluded(folder, show_progress) for folder in options.exclude]
    cutter = ChipCutter(load(options.model, running=options.running), options.face)
    return prepare(source, options.out, cutter, excluded, show_progress)
