"""What the subcommands share: options, reading the user's files, and leaving with a reason."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from ..cli import EXIT_TROUBLE

F = TypeVar("F", bound=Callable[..., object])


def face_option(command: F) -> F:
    """Add --face."""
    return click.option(
        "--face",
        type=click.Choice(["dominant", "only", "largest", "center"]),
        default="dominant",
        show_default=True,
        help="Which face is meant, where there are several.",
    )(command)


def model_option(command: F) -> F:
    """Add --model."""
    return click.option("--model", "model_path", metavar="PATH", help="A model bundle; default: the built-in one.")(
        command
    )


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def read_file(path: str) -> bytes:
    """Read one of the user's own files or stop with the reason."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        stop(f"{path}: {error.strerror}")


def stop(message: str) -> NoReturn:
    """Say what is wrong on stderr and leave with status 2."""
    click.echo(f"visavis: {message}", err=True)
    sys.exit(EXIT_TROUBLE)
