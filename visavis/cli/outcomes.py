"""Several images, one answer each: an image at fault costs the others nothing, and the exit status tells of it."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Generic, TypeVar

import click

from embedder import SampleError, image_file

from .main import EXIT_TROUBLE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImageFault:
    """Why an image has no answer."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutputFormat(Generic[T]):
    """How an answer is shown: to a person, with the image's path, and to a program."""

    text: Callable[[str, T], str]
    record: Callable[[T], dict[str, object]]


def answer_each(paths: Sequence[str], work: Callable[[bytes], T], view: OutputFormat[T], *, as_json: bool) -> None:
    """Run `work` on each image, print its answer at once, and leave with status 2 where one has none."""
    has_fault = False
    for place, path in enumerate(paths):
        outcome = _outcome(path, work)
        has_fault = has_fault or isinstance(outcome, ImageFault)
        if as_json:
            click.echo((",\n" if place else "[\n") + _json(path, outcome, view), nl=False)
        else:
            click.echo(_text(path, outcome, view))
    if as_json:
        click.echo("\n]")
    sys.exit(EXIT_TROUBLE if has_fault else 0)


def _outcome(path: str, work: Callable[[bytes], T]) -> T | ImageFault:
    try:
        return work(image_file(Path(path)))
    except OSError as error:
        return ImageFault("not_readable", f"{error.strerror or error}; give the path of an image file")
    except SampleError as error:
        return ImageFault(error.code, str(error))


def _json(path: str, outcome: T | ImageFault, view: OutputFormat[T]) -> str:
    """One item of the printed list."""
    return indent(json.dumps({"image": path} | _record(outcome, view), indent=2), "  ")


def _record(outcome: T | ImageFault, view: OutputFormat[T]) -> dict[str, object]:
    if isinstance(outcome, ImageFault):
        return {"error": {"code": outcome.code, "detail": outcome.detail}}
    return view.record(outcome)


def _text(path: str, outcome: T | ImageFault, view: OutputFormat[T]) -> str:
    return f"{path}: {outcome.detail}" if isinstance(outcome, ImageFault) else view.text(path, outcome)
