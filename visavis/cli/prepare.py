"""`visavis prepare`: find the faces in photos once, and keep their chips for training."""

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
    """What the command line asks for."""

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
    help="The folder that paths in FILE.csv start from (the file's own).",
)
@click.option(
    "--exclude",
    type=data_options.PATH,
    metavar="DIR",
    multiple=True,
    help="Photos that a model will be measured on, one folder per person, or a folder of chips: people of the same "
    "name, and the very same images, are left out. May be given several times.",
)
@click.option(
    "--face",
    type=click.Choice(["dominant", "only", "largest", "center"]),
    default="largest",
    show_default=True,
    help="Which face is meant, where there are several.",
)
@data_options.model_option
@running_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def prepare_command(**given: Any) -> None:
    """Find the face in each photo, on every core, and keep its aligned chip in the folder DATA, which `train` takes.

    DIR holds a folder for each person, DIR/<person>/<photo>; FILE.csv has the columns image,identity. Photos that
    cannot be used are listed in DATA/skipped.csv and stop nothing. A run that was stopped goes on where it was, when it
    is started again in the same way.

    DATA shows faces: keep it like the photos. Only its owner may read it.

    Exit status: 0, or 2 where the photos or DATA cannot be used.
    """
    asked = PrepareOptions(**given)
    if asked.images is not None and asked.photos.is_dir():
        raise click.UsageError("--images goes with FILE.csv; DIR names the folder of photos itself")
    prepared = _prepared(asked)
    if prepared.was_finished:
        click.echo(f"{asked.out} is prepared already; nothing was changed", err=True)
    told = report_json(prepared.report) if asked.as_json else "\n".join(report_text(prepared.report, asked.out)) + "\n"
    click.echo(told, nl=False)


def _prepared(asked: PrepareOptions) -> PreparationResult:
    require_free_or_ours(asked.out)  # before the time that reading takes
    source = read_source(asked.photos, asked.images)
    excluded = [read_excluded(folder, show_progress) for folder in asked.exclude]
    cutter = ChipCutter(load(asked.model, running=asked.running), asked.face)
    return prepare(source, asked.out, cutter, excluded, show_progress)
