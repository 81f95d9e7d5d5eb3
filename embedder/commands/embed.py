"""`visavis embed`: faces as embeddings of 128 channels."""

import json
import sys
from dataclasses import asdict

import click

from embedder import Embedding, FaceChoice, FaceEmbedder, SampleError

from .options import EXIT_TROUBLE, face_option, json_option, load_model, model_option, read_file
from .records import sample_record

SHOWN = 4  # channels shown to a person; a program asks for --json


@click.command()
@click.argument("images", nargs=-1, required=True)
@face_option
@model_option
@json_option
def embed(images: tuple[str, ...], face: FaceChoice, model_path: str | None, *, as_json: bool) -> None:
    """Turn one face of each of IMAGES into its embedding. Treat the result like the photo: it is biometric data.

    Exit status: 0, or 2 where an image could not be used; the others are answered all the same.
    """
    embedder = load_model(model_path)
    outcomes = [(path, _embedding(embedder, path, face)) for path in images]
    click.echo(_as_json(outcomes) if as_json else "\n".join(_as_text(*outcome) for outcome in outcomes))
    sys.exit(EXIT_TROUBLE if any(isinstance(outcome, SampleError) for _, outcome in outcomes) else 0)


def _embedding(embedder: FaceEmbedder, path: str, face: FaceChoice) -> Embedding | SampleError:
    data = read_file(path)
    try:
        return embedder.embed(data, face=face)
    except SampleError as error:
        return error


def _as_json(outcomes: list[tuple[str, Embedding | SampleError]]) -> str:
    return json.dumps([{"image": path} | _answer(outcome) for path, outcome in outcomes], indent=2)


def _answer(outcome: Embedding | SampleError) -> dict[str, object]:
    if isinstance(outcome, SampleError):
        return {"error": {"code": outcome.code, "detail": str(outcome)}}
    return {
        "embedding": outcome.vector.tolist(),
        "sample": sample_record(outcome.sample),
        "model": asdict(outcome.model),
    }


def _as_text(path: str, outcome: Embedding | SampleError) -> str:
    if isinstance(outcome, SampleError):
        return f"{path}: {outcome}"
    first = ", ".join(f"{value:+.3f}" for value in outcome.vector[:SHOWN])
    return f"{path}: [{first}, ...] 128 channels (--json for all)"
