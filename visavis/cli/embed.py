"""`visavis embed`: faces as embeddings of 128 channels, printed, or in bulk into Parquet files."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from embedder import Embedding, FaceChoice, RuntimeOptions, load
from embedder.bulk import BulkRequest

from .embed_into import embed_into
from .options import face_option, json_option, model_option, running_options
from .outcomes import OutputFormat, answer_each
from .records import sample_record

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
