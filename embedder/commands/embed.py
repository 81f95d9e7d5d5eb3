"""`visavis embed`: faces as embeddings of 128 channels."""

from dataclasses import asdict
from functools import partial

import click

from embedder import Embedding, FaceChoice, Running, load

from .options import face_option, json_option, model_option, running_options
from .outcomes import View, answer_each
from .records import sample_record

SHOWN = 4  # channels shown to a person; a program asks for --json


@click.command()
@click.argument("images", nargs=-1, required=True)
@face_option
@model_option
@running_options
@json_option
def embed(
    images: tuple[str, ...], face: FaceChoice, model_path: str | None, running: Running, *, as_json: bool
) -> None:
    """Turn one face of each of IMAGES into its embedding. Treat the result like the photo: it is biometric data.

    Exit status: 0, or 2 where an image could not be used; the others are answered all the same.
    """
    work = partial(load(model_path, running=running).embed, face=face)
    answer_each(images, work, View(_as_text, _as_record), as_json=as_json)


def _as_record(embedding: Embedding) -> dict[str, object]:
    return {
        "embedding": embedding.vector.tolist(),
        "sample": sample_record(embedding.sample),
        "model": asdict(embedding.model),
    }


def _as_text(path: str, embedding: Embedding) -> str:
    first = ", ".join(f"{value:+.3f}" for value in embedding.vector[:SHOWN])
    return f"{path}: [{first}, ...] 128 channels (--json for all)"
