"""Options that subcommands share, reading and writing the user's files, and exiting with an error."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from embedder import (
    EVEN_PRIOR,
    PRECISIONS,
    QUALITY_CHOICES,
    ImageTooLarge,
    Limits,
    Precision,
    RuntimeName,
    RuntimeOptions,
    SampleError,
    VerifyOptions,
)

from .main import EXIT_TROUBLE

PRIVATE = 0o600  # mode of a file that shows a face

F = TypeVar("F", bound=Callable[..., object])


def face_option(command: F) -> F:
    """Add --face."""
    return click.option(
        "--face",
        type=click.Choice(["dominant", "only", "largest", "center"]),
        default="dominant",
        show_default=True,
        help="Which face to use if there are several.",
    )(command)


def verify_options(command: F) -> F:
    """Add --face, --operating-point, --prior and --quality; the command receives a VerifyOptions as `options`."""

    @wraps(command)
    def with_options(*args: object, **given: Any) -> object:
        named = {each.name: given.pop(each.name) for each in fields(VerifyOptions) if each.name in given}
        return command(*args, options=VerifyOptions(**named), **given)

    options = (
        face_option,
        click.option(
            "--operating-point",
            metavar="NAME|fmr=X",
            help="An operating point of the model card by name, or the nearest with an FMR of at most X; "
            "default: the card's choice.",
        ),
        click.option(
            "--prior",
            type=float,
            default=EVEN_PRIOR,
            show_default=True,
            callback=_a_prior,
            metavar="P",
            help="Prior probability that the photos show one person; the answer's probability depends on it.",
        ),
        click.option(
            "--quality",
            type=click.Choice(QUALITY_CHOICES),
            default="refuse",
            show_default=True,
            help="Whether to refuse a photo that is poorer than nearly all photos that the model was measured on.",
        ),
    )
    for option in reversed(options):
        with_options = option(with_options)
    return with_options  # type: ignore[return-value] # click replaces the parameters, so callers see the same type


def _a_prior(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    if not 0 < value < 1:  # click.FloatRange accepts NaN
        raise click.BadParameter(f"must be a probability between 0 and 1, both excluded, not {value}")
    return value


def model_option(command: F) -> F:
    """Add --model."""
    return click.option(
        "--model", "model_path", metavar="MODEL", help="A model bundle, or the name of a built-in model (sface-128)."
    )(command)


def running_options(command: F) -> F:
    """Add --runtime, --device and --precision; the command receives a RuntimeOptions as `running`."""

    @wraps(command)
    def with_running(
        *args: object, runtime: RuntimeName | None, device: str, precision: Precision, **others: object
    ) -> object:
        return command(*args, running=RuntimeOptions(runtime, device, precision), **others)

    options = (
        click.option(
            "--runtime",
            type=click.Choice(["openvino", "torch"]),
            help="The runtime of the networks; default: openvino on the CPU, torch on other devices.",
        ),
        click.option("--device", default="cpu", show_default=True, help="The device of torch: cpu, cuda, mps."),
        precision_option,
    )
    for option in reversed(options):
        with_running = option(with_running)
    return with_running  # type: ignore[return-value] # click replaces the parameters, so callers see the same type


def precision_option(command: F) -> F:
    """Add --precision."""
    return click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="f32",
        show_default=True,
        help="Precision of the embeddings; bf16 and int8 are less exact, and faster if the processor supports them.",
    )(command)


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def read_file(path: str) -> bytes:
    """Read an image file, at most one byte more than the limit; exit with an error if that fails."""
    limit = Limits().max_bytes
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        stop(f"{path}: {error.strerror}")
    if len(data) > limit:
        stop(f"{path}: {ImageTooLarge(limit, limit, 'bytes', at_least=True)}")
    return data


def stop_for(error: SampleError, paths: Mapping[str, str]) -> NoReturn:
    """Exit with an error that names the image at fault; the keys of `paths` are probe and reference."""
    role = error.image or "probe"
    stop(f"{role} {paths[role]}: {error}")


def write_file(path: str, content: bytes, mode: int = 0o666) -> None:
    """Write a file, or exit with an error; `mode` applies to a new file, minus the umask."""
    try:
        with open(path, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
    except OSError as error:
        stop(f"{path}: {error.strerror}")


def stop(message: str) -> NoReturn:
    """Print the message to stderr and exit with status 2."""
    click.echo(f"visavis: {message}", err=True)
    sys.exit(EXIT_TROUBLE)
