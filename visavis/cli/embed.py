"""`visavis embed`: faces as embeddings of 128 channels, printed, or in bulk into Parquet files."""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedder import Embedding, FaceChoice, RuntimeOptions, load, show_progress
from embedder.bulk import BulkRequest

from .main import EXIT_INTERRUPTED, ExtraMissing, missing_module
from .options import face_option, json_option, model_option, running_options
from .output import OutputFormat, answer_each, sample_record

if TYPE_CHECKING:
    from embedder.bulk import BulkSummary


def embed_into(wanted: BulkRequest, *, as_json: bool) -> None:
    """Run it, with progress on stderr and a summary on stdout."""
    try:
        from embedder.bulk import embed_folders  # noqa: PLC0415 - it needs the extra "bulk"

        summary = embed_folders(wanted, show_progress)
    except ModuleNotFoundError as error:
        raise ExtraMissing(missing_module(error), "bulk") from error
    except KeyboardInterrupt:
        click.echo("visavis: stopped; whole parts are kept: give the same command again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    click.echo(json.dumps(_record(summary), indent=2) if as_json else _text(summary, wanted.out))


def _record(summary: "BulkSummary") -> dict[str, object]:
    return {
        "photos": summary.n_photos,
        "rows": summary.n_rows,
        "failed": dict(summary.failed.most_common()),
        "new_photos": summary.n_new,
        "wall_s": summary.wall_s,
        "photos_s": summary.photos_s,
        "cores": summary.n_cores,
        "cpu_s": summary.cpu_s._asdict(),
        "cpu_share": summary.cpu_share,
    }


def _text(summary: "BulkSummary", out: Path) -> str:
    lines = [f"{out}: {summary.n_rows:,} embeddings of {summary.n_photos:,} photos"]
    if summary.failed:
        reasons = ", ".join(f"{code} {number:,}" for code, number in summary.failed.most_common())
        lines.append(f"{summary.failed.total():,} photos failed ({reasons}); each is in {out}/_failed-*.jsonl")
    return "\n".join([*lines, _pace(summary)])


def _pace(summary: "BulkSummary") -> str:
    if not summary.n_new:
        return "It was finished already."
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in summary.cpu_s._asdict().items())
    return (
        f"{summary.n_new:,} photos in {summary.wall_s:.1f} s, {summary.photos_s:.1f} photos/s; CPU seconds: {stages}; "
        f"{summary.cpu_share:.0%} of {summary.n_cores} cores"
    )


SHOWN = 4  # channels shown to a person; a program asks for --json


@click.command()
@click.argument("images", nargs=-1, required=True)
@click.option(
    "--out",
    metavar="FOLDER",
    help="Write Parquet files there instead of printing, for any number of photos. IMAGES may then be folders.",
)
@face_option
@model_option
@running_options
@json_option
def embed(
    images: tuple[str, ...],
    out: str | None,
    face: FaceChoice,
    model_path: str | None,
    running: RuntimeOptions,
    *,
    as_json: bool,
) -> None:
    """Turn one face of each of IMAGES into its embedding. Treat the result like the photo: it is biometric data.

    Exit status: 0, or 2 where an image could not be used; the others are answered all the same.

    With --out, IMAGES may be folders with any number of photos, and the embeddings go into numbered Parquet files.
    Stopped anywhere, the same command goes on. Photos that cannot be used are listed there, and cost no exit status.
    """
    if out is not None:
        wanted = BulkRequest(tuple(map(Path, images)), Path(out), face, model_path, running)
        embed_into(wanted, as_json=as_json)
        return
    work = partial(load(model_path, running=running).embed, face=face)
    answer_each(images, work, OutputFormat(_as_text, _as_record), as_json=as_json)


def _as_record(embedding: Embedding) -> dict[str, object]:
    return {
        "embedding": embedding.vector.tolist(),
        "sample": sample_record(embedding.sample),
        "model": asdict(embedding.model),
    }


def _as_text(path: str, embedding: Embedding) -> str:
    first = ", ".join(f"{value:+.3f}" for value in embedding.vector[:SHOWN])
    return f"{path}: [{first}, ...] 128 channels (--json for all)"
