"""`visavis prepare`: find the faces in photos and store their chips for training."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click

from embedder import FaceChoice, FaceEmbedder, RuntimeOptions, load, read_regular_file, show_progress
from train import (
    LABELS_FILE,
    LABELS_PAGE,
    ChipCutter,
    LabelsError,
    PreparationResult,
    open_prepared,
    prepare,
    read_excluded,
    read_source,
    report_json,
    report_text,
    require_evidence,
    require_free_or_ours,
    shown,
    write_labels,
)

from . import data_options
from .check_labels import check_prepared
from .options import running_options

N_IN_DOUBT = 5  # labels named in a terminal
MAX_LABELS_BYTES = 2**28


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
    be used are listed in DATA/skipped.csv, and photos that are probably under a wrong name in DATA/labels.csv and
    DATA/labels.html, as by `visavis check-labels`. If the command was stopped, run it again with the same options to
    resume.

    DATA shows faces: protect it like the photos. Only its owner can read it.

    Exit status: 0, or 2 if the photos or DATA cannot be used.
    """
    options = PrepareOptions(**given)
    if options.images is not None and options.photos.is_dir():
        raise click.UsageError("--images needs FILE.csv; DIR is the folder of photos itself")
    embedder = load(options.model, running=options.running)
    prepared = _prepared(options, embedder)
    if prepared.was_finished:
        click.echo(f"{options.out} is prepared already; nothing was changed", err=True)
    in_doubt = _labels_in_doubt(options.out, embedder)
    if options.as_json:
        click.echo(json.dumps(json.loads(report_json(prepared.report)) | {"labels_in_doubt": in_doubt}, indent=2))
        return
    *lines, digest = report_text(prepared.report, options.out)
    click.echo("\n".join([*lines, *_label_lines(in_doubt), digest]))


def _prepared(options: PrepareOptions, embedder: FaceEmbedder) -> PreparationResult:
    require_free_or_ours(options.out)  # before photos are read
    source = read_source(options.photos, options.images)
    excluded = [read_excluded(folder, show_progress) for folder in options.exclude]
    return prepare(source, options.out, ChipCutter(embedder, options.face), excluded, show_progress)


def _labels_in_doubt(data: Path, embedder: FaceEmbedder) -> list[str] | None:
    """Check the labels, unless an earlier run did; return the advice, most certain first. None: cannot be checked."""
    file = data / LABELS_FILE
    if not file.exists():
        try:
            require_evidence(embedder.card)
        except LabelsError:
            return None
        checked = check_prepared(open_prepared(data), embedder)
        write_labels(data, checked.report, checked.chips)
    try:
        text = read_regular_file(file, MAX_LABELS_BYTES).decode("utf-8", "surrogateescape")
        return list({row["rank"]: row["advice"] for row in csv.DictReader(StringIO(text, newline=""))}.values())
    except (OSError, KeyError, csv.Error) as error:
        raise LabelsError(f"{file}: cannot be read ({type(error).__name__}); remove it, and run this again") from error


def _label_lines(in_doubt: list[str] | None) -> Iterator[str]:
    if in_doubt is None:
        yield "  labels: not checked, because the model's card does not say what a distance proves"
        return
    yield f"  labels in doubt: {len(in_doubt):,}" + (f"; see {LABELS_PAGE} and {LABELS_FILE}" if in_doubt else "")
    yield from (f"    {shown(advice)}" for advice in in_doubt[:N_IN_DOUBT])
