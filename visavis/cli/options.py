"""Options that subcommands share, reading and writing the user's files, and exiting with an error."""

import errno
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import click

from embedder import (
    ALL_FACES,
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
    face_selector,
    printable,
)

from .main import EXIT_TROUBLE, MAX_MESSAGE

MAX_THRESHOLD = 10  # as the service accepts
PRIVATE = 0o600  # mode of a file that shows a face
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")

F = TypeVar("F", bound=Callable[..., object])
P = ParamSpec("P")


MODEL_HELP = "A model bundle, or the name of a model that `visavis models` lists (sface-128)."
FACE_METAVAR = "dominant|only|largest|center|at:x,y|INDEX"


def face_option(command: F) -> F:
    """Add --face."""
    return _face_option(_a_face, FACE_METAVAR, "its index in visavis detect.")(command)


def only_face_option(command: F) -> F:
    """Add --face, by which a photo that shows several faces is refused."""
    return _face_option(_a_face, FACE_METAVAR, "its index in visavis detect.", default="only")(command)


def face_or_all_option(command: F) -> F:
    """Add --face, which may also be `all`."""
    return _face_option(_a_face_or_all, f"{FACE_METAVAR}|all", "its index in visavis detect; all = every face.")(
        command
    )


def _face_option(
    callback: Callable[..., str | None], metavar: str, index: str, default: str = "dominant"
) -> Callable[[F], F]:
    return click.option(
        "--face",
        callback=callback,
        metavar=metavar,
        default=default,
        show_default=True,
        help="Which face to use if there are several: by a rule, by a point on it (px of the upright picture), or by "
        + index,
    )


def _face_options(command: F) -> F:
    of_probe = click.option("--probe-face", callback=_a_face, metavar="FACE", help="As --face, for PROBE alone.")
    of_reference = click.option(
        "--reference-face", callback=_a_face, metavar="FACE", help="As --face, for REFERENCE alone."
    )
    return face_option(of_probe(of_reference(command)))


def _point_options(command: F) -> F:
    point = click.option(
        "--operating-point",
        metavar="NAME|fmr=X",
        help="An operating point of the model card by name, or the nearest with an FMR of at most X; "
        "default: the card's choice.",
    )
    threshold = click.option(
        "--threshold",
        type=float,
        callback=_a_threshold,
        metavar="X",
        help="Your own distance, below which it is the same person, instead of an operating point. "
        "It has no measured error rates.",
    )
    return point(threshold(command))


def verify_options(command: F) -> F:
    """Add the options of a comparison; the command receives a VerifyOptions as `options`."""

    @wraps(command)
    def with_options(*args: object, **given: Any) -> object:
        named = {each.name: given.pop(each.name) for each in fields(VerifyOptions) if each.name in given}
        if named["threshold"] is not None and named["operating_point"] is not None:
            raise click.UsageError("give --threshold or --operating-point, not both: a point is a threshold")
        return command(*args, options=VerifyOptions(**named), **given)

    options = (
        _face_options,
        _point_options,
        click.option(
            "--prior",
            type=float,
            default=EVEN_PRIOR,
            show_default=True,
            callback=a_probability,
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


def _a_face(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else face_selector(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _a_face_or_all(context: click.Context, option: click.Parameter, value: str) -> str | None:
    return value if value == ALL_FACES else _a_face(context, option, value)


def a_probability(_ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    """Refuse the value of an option that is not between 0 and 1."""
    if value is not None and not 0 < value < 1:  # click.FloatRange accepts NaN
        raise click.BadParameter(f"must be a probability between 0 and 1, both excluded, not {value}")
    return value


def _a_threshold(_ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= MAX_THRESHOLD:
        raise click.BadParameter(f"must be a distance greater than 0, up to {MAX_THRESHOLD}, not {value}")
    return value


def duration_of(text: str) -> timedelta | None:
    """Return the duration that a text such as 90d, 12h, 30m or 10s stands for; None if it stands for none."""
    found = DURATION.fullmatch(text)
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None


def future_time(_ctx: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """Convert the value of an option, a duration from now or the start of a day, to a time in the future."""
    if value is None:
        return None
    now, lasts = datetime.now(UTC).replace(microsecond=0), duration_of(value)
    try:
        end = now + lasts if lasts else datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter("must be like 90d, 12h or 2027-01-01 (the start of that day, UTC)") from None
    if end <= now:
        raise click.BadParameter(f"must be in the future, not {value}")
    return end


def model_option(command: F) -> F:
    """Add --model."""
    return click.option("--model", "model_path", metavar="MODEL", help=MODEL_HELP)(command)


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


STDIN = "-"  # the path that stands for standard input; a file of that name is ./-


def image_bytes(path: str) -> bytes:
    """Read an image from a file, a pipe or, for `-`, standard input; at most one byte more than the limit.

    It waits for a pipe until its writer closes it. Raises OSError, ImageTooLarge.
    """
    if path == STDIN and sys.stdin is None:
        raise OSError("standard input is closed")
    limit = Limits().max_bytes
    with click.open_file(path, "rb") as file:
        data: bytes = file.read(limit + 1)
    if len(data) > limit:
        raise ImageTooLarge(limit, limit, "bytes", at_least=True)
    return data


def read_file(path: str) -> bytes:
    """Read an image as `image_bytes` does; exit with an error if that fails."""
    try:
        return image_bytes(path)
    except OSError as error:
        stop(f"{path}: {error.strerror or error}")
    except ImageTooLarge as error:
        stop(f"{path}: {error}")


def require_one_stdin(paths: Sequence[str]) -> None:
    """Exit with a usage error if more than one image is to come from standard input."""
    if paths.count(STDIN) > 1:
        raise click.UsageError("only one image can come from standard input (-)")


def stop_for(error: SampleError, paths: Mapping[str, str]) -> NoReturn:
    """Exit with an error that names the image at fault; the keys of `paths` are probe and reference."""
    role = error.image or "probe"
    stop(f"{role} {paths[role]}: {error}")


def write_file(path: str, content: bytes, mode: int = 0o666) -> None:
    """Write a file, or exit with an error; `mode` applies to a new file, minus the umask. Links are not followed."""
    try:
        with open(path, "wb", opener=partial(_opened, mode=mode)) as file:
            file.write(content)
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        stop(f"{path}: {'it is a link; give the path of a file' if is_link else error.strerror}")


def _opened(path: str, flags: int, mode: int) -> int:
    """Open a file. A link could be planted; those of /dev, such as /dev/stdout, and those to pipes are none."""
    target = Path(path)
    is_device = path.startswith("/dev/") or (target.exists() and not target.is_file())
    return os.open(path, flags if is_device else flags | os.O_NOFOLLOW, mode)


def stops_on(kind: type[Exception]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Let a command exit with an error when an exception of this kind is raised."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*given: P.args, **named: P.kwargs) -> None:
            try:
                command(*given, **named)
            except kind as error:
                stop(str(error))

        return run

    return decorate


def stop(message: str) -> NoReturn:
    """Print the message to stderr and exit with status 2."""
    click.echo(f"visavis: {printable(message, MAX_MESSAGE)}", err=True)
    sys.exit(EXIT_TROUBLE)
