"""`visavis check-labels`: find photos that are probably under a wrong name."""

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from embedder import FaceChoice, FaceEmbedder, Pixels, RuntimeOptions, SampleError, VisavisError, load, show_progress
from train import (
    LabelChips,
    LabeledPhoto,
    LabelReport,
    PreparedData,
    Protocol,
    check_labels,
    embed_photos,
    embedded_chips,
    is_prepared,
    labels_lines,
    labels_record,
    open_cache,
    open_prepared,
    protocol_of,
    read_source,
    require_evidence,
    require_folder,
    shown,
    write_labels,
)

from . import data_options
from .options import json_option, running_options


class OtherChips(VisavisError):
    """Chips were prepared for another model; the message says what to do."""

    code = "other_chips"


@dataclass(frozen=True, slots=True)
class CheckLabelsOptions:
    """The command's options."""

    photos: Path
    out: Path | None
    face: FaceChoice | None
    model: str | None
    running: RuntimeOptions
    cache: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True, eq=False)
class CheckedLabels:
    """A check with the chips to show."""

    report: LabelReport
    chips: LabelChips


@click.command(name="check-labels")
@click.argument("photos", type=data_options.PATH, metavar="DIR|FILE.csv|DATA")
@click.option(
    "--out",
    type=data_options.PATH,
    metavar="FOLDER",
    help="Write labels.csv and labels.html, a page that shows the faces, to this folder.",
)
@click.option(
    "--face",
    type=click.Choice(["dominant", "only", "largest", "center"]),
    help="Which face to use if there are several (largest; chips show the face that they were prepared with).",
)
@data_options.model_option
@running_options
@data_options.cache_option
@json_option
def check_labels_command(**given: Any) -> None:
    """Find photos that are probably under a wrong name: one person under two names, or two people under one.

    DIR has a folder for each person, DIR/<person>/<photo>; FILE.csv has the columns image,identity; DATA was made by
    `visavis prepare`. The most certain findings come first. Look at the photos before you change a name.

    Exit status: 0 nothing found, 1 labels in doubt, 2 error.
    """
    options = CheckLabelsOptions(**given)
    if options.out is not None:
        require_folder(options.out)  # before photos are read
    checked = _checked(options)
    if options.out is not None:
        write_labels(options.out, checked.report, checked.chips)
    lines = map(shown, labels_lines(checked.report))
    click.echo(json.dumps(labels_record(checked.report), indent=2) if options.as_json else "\n".join(lines))
    sys.exit(1 if checked.report.findings else 0)


def check_prepared(data: PreparedData, embedder: FaceEmbedder) -> CheckedLabels:
    """Check the labels of prepared chips. Raises OtherChips if they are another model's, and as `check_labels`."""
    card = embedder.card
    require_evidence(card)
    if (card.alignment, card.detector) != (data.alignment, data.detector):
        raise OtherChips(
            f"{data.folder}: was prepared for another model than {card.name}; give the folder of photos, or the model "
            "as --model"
        )
    positions = np.arange(len(data.names), dtype=np.int32)
    protocol = protocol_of(data, positions, data.folder.resolve().name)
    embedded = embedded_chips(data, positions, embedder, show_progress)
    places = {name: k for k, name in enumerate(data.names)}
    return CheckedLabels(check_labels(protocol, embedded, card), partial(_prepared_chip, data, places))


def _checked(options: CheckLabelsOptions) -> CheckedLabels:
    if not is_prepared(options.photos):
        return _checked_photos(options)
    given = [f"--{name}" for name in ("face", "cache") if getattr(options, name) is not None]
    if given:
        raise click.UsageError(f"{options.photos} contains chips, whose faces are found already; omit {given[0]}")
    with load(options.model, running=options.running) as embedder:
        return check_prepared(open_prepared(options.photos), embedder)


def _checked_photos(options: CheckLabelsOptions) -> CheckedLabels:
    source = read_source(options.photos)
    face = options.face or "largest"
    embedder = load(options.model, running=options.running)
    require_evidence(embedder.card)
    cache = None if options.cache is None else open_cache(options.cache, embedder, face)
    protocol = Protocol(source.folder.name, source.photos, None, face, source.n_other_files)
    embedded = embed_photos(protocol, embedder, face, cache, show_progress)
    return CheckedLabels(check_labels(protocol, embedded, embedder.card), partial(_photo_chip, embedder, face))


def _prepared_chip(data: PreparedData, places: dict[str, int], photo: LabeledPhoto) -> Pixels:
    pixels: Pixels = data.chips([places[photo.name]])[0]
    return pixels


def _photo_chip(embedder: FaceEmbedder, face: FaceChoice, photo: LabeledPhoto) -> Pixels | None:
    """Cut the chip of a photo again, because chips are not kept."""
    try:
        return embedder.chip(photo.path.read_bytes(), face=face).pixels
    except SampleError:
        return None
