"""`visavis detect`: the faces in photos."""

import json
import sys

import click

from embedder import Face, FaceEmbedder, SampleError

from .options import EXIT_TROUBLE, json_option, load_model, model_option, read_file
from .records import face_record


@click.command()
@click.argument("images", nargs=-1, required=True)
@model_option
@json_option
def detect(images: tuple[str, ...], model_path: str | None, *, as_json: bool) -> None:
    """Find every face in IMAGES, largest first.

    Exit status: 0, or 2 where an image could not be read; the others are answered all the same.
    """
    embedder = load_model(model_path)
    outcomes = [(path, _faces(embedder, path)) for path in images]
    click.echo(_as_json(outcomes) if as_json else "\n".join(_as_text(*outcome) for outcome in outcomes))
    sys.exit(EXIT_TROUBLE if any(isinstance(outcome, SampleError) for _, outcome in outcomes) else 0)


def _faces(embedder: FaceEmbedder, path: str) -> list[Face] | SampleError:
    data = read_file(path)
    try:
        return embedder.detect(data)
    except SampleError as error:
        return error


def _as_json(outcomes: list[tuple[str, list[Face] | SampleError]]) -> str:
    return json.dumps([{"image": path} | _answer(outcome) for path, outcome in outcomes], indent=2)


def _answer(outcome: list[Face] | SampleError) -> dict[str, object]:
    if isinstance(outcome, SampleError):
        return {"error": {"code": outcome.code, "detail": str(outcome)}}
    return {"faces": [face_record(face) for face in outcome]}


def _as_text(path: str, outcome: list[Face] | SampleError) -> str:
    if isinstance(outcome, SampleError):
        return f"{path}: {outcome}"
    counted = "no face" if not outcome else "1 face" if len(outcome) == 1 else f"{len(outcome)} faces"
    return "\n".join([f"{path}: {counted}", *(_line(face) for face in outcome)])


def _line(face: Face) -> str:
    box = face.box
    return f"  {box.width:5.0f} x {box.height:<5.0f} at {box.x:.0f}, {box.y:.0f}  score {face.score:.3f}"
