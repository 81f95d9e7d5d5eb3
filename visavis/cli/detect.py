"""`visavis detect`: find the faces in photos."""

import click

from embedder import Face, RuntimeOptions, load

from .options import json_option, model_option, running_options
from .output import OutputFormat, answer_each, face_record, faces_text, rotation_text


@click.command()
@click.argument("images", nargs=-1, required=True)
@model_option
@running_options
@json_option
def detect(images: tuple[str, ...], model_path: str | None, running: RuntimeOptions, *, as_json: bool) -> None:
    """Find every face in IMAGES, largest first. Each line begins with the face's index, as --face accepts it.

    One of IMAGES may be - for standard input.

    Exit status: 0, or 2 if an image cannot be read; the other images are processed anyway.
    """
    answer_each(images, load(model_path, running=running).detect, OutputFormat(_as_text, _as_record), as_json=as_json)


def _as_record(faces: list[Face]) -> dict[str, object]:
    return {"faces": [face_record(face) for face in faces]}


def _as_text(path: str, faces: list[Face]) -> str:
    return faces_text(path, faces, [f"score {face.score:.3f}{rotation_text(face)}" for face in faces])
