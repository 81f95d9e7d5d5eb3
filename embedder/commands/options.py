"""What the subcommands share: options, reading the user's files, and leaving with a reason."""

import os
import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from embedder import Precision, Running, RuntimeName

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


def running_options(command: F) -> F:
    """Add --runtime, --device and --precision; the command gets them as `running`."""

    @wraps(command)
    def with_running(
        *args: object, runtime: RuntimeName | None, device: str, precision: Precision, **others: object
    ) -> object:
        return command(*args, running=Running(runtime, device, precision), **others)

    options = (
        click.option(
            "--runtime",
            type=click.Choice(["openvino", "torch"]),
            help="What runs the networks; default: openvino on the CPU, torch for all else.",
        ),
        click.option("--device", default="cpu", show_default=True, help="Where torch computes: cpu, cuda, mps."),
        click.option(
            "--precision",
            type=click.Choice(["f32", "bf16"]),
            default="f32",
            show_default=True,
            help="What embeddings are computed in; bf16 is quicker where the processor has it, and less exact.",
        ),
    )
    for option in reversed(options):
        with_running = option(with_running)
    return with_running  # type: ignore[return-value] # the same command, seen from outside


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def read_file(path: str) -> bytes:
    """Read one of the user's own files or stop with the reason."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        stop(f"{path}: {error.strerror}")


def write_file(path: str, content: bytes, mode: int = 0o666) -> None:
    """Write a file that the user asked for, or stop with the reason; `mode` is a new file's, less the umask."""
    try:
        with open(path, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
    except OSError as error:
        stop(f"{path}: {error.strerror}")


def stop(message: str) -> NoReturn:
    """Say what is wrong on stderr and leave with status 2."""
    click.echo(f"visavis: {message}", err=True)
    sys.exit(EXIT_TROUBLE)
