"""Several images, one answer each: an image at fault costs the others nothing, and the exit status tells of it."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import click

from embedder import SampleError

from ..cli import EXIT_TROUBLE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an image has no answer."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How an answer is shown: to a person, with the image's path, and to a program."""

    text: Callable[[str, T], str]
    record: Callable[[T], dict[str, object]]


def answer_each(paths: Sequence[str], work: Callable[[bytes], T], view: View[T], *, as_json: bool) -> None:
    """Run `work` on each image, print all answers, and leave with status 2 where one has none."""
    outcomes = [(path, _outcome(path, work)) for path in paths]
    if as_json:
        click.echo(json.dumps([{"image": path} | _record(outcome, view) for path, outcome in outcomes], indent=2))
    else:
        click.echo("\n".join(_text(path, outcome, view) for path, outcome in outcomes))
    sys.exit(EXIT_TROUBLE if any(isinstance(outcome, Fault) for _, outcome in outcomes) else 0)


def _outcome(path: str, work: Callable[[bytes], T]) -> T | Fault:
    try:
        return work(Path(path).read_bytes())
    except OSError as error:
        return Fault("not_readable", f"{error.strerror}; give the path of an image file")
    except SampleError as error:
        return Fault(error.code, str(error))


def _record(outcome: T | Fault, view: View[T]) -> dict[str, object]:
    if isinstance(outcome, Fault):
        return {"error": {"code": outcome.code, "detail": outcome.detail}}
    return view.record(outcome)


def _text(path: str, outcome: T | Fault, view: View[T]) -> str:
    return f"{path}: {outcome.detail}" if isinstance(outcome, Fault) else view.text(path, outcome)
