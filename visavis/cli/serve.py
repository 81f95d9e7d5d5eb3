"""`visavis serve`: start the HTTP service. Imports nothing heavy, so that --help works in the base installation."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from .main import missing_module

if TYPE_CHECKING:
    from service import Finding


class ServeError(click.ClickException):
    """The service cannot start; printed in one line, with exit status 2."""

    exit_code = 2


@click.command()
@click.option("--config", metavar="FILE", help="A TOML file of settings (VISAVIS_CONFIG).")
@click.option("--check", is_flag=True, help="Serve nothing: tell everything that is wrong, and exit with 0 or 1.")
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1; 0.0.0.0 = all addresses of this machine)."
)
@click.option("--port", type=click.IntRange(0, 65535), help="The port (8000; 0 = any free one).")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Processes that answer on the port (1).")
@click.option("--model", metavar="MODEL", help="A model bundle to serve, or a name of `visavis models` (sface-128).")
@click.option(
    "--runtime",
    type=click.Choice(["openvino", "torch"]),
    help="The runtime of the networks (openvino on a CPU, else torch).",
)
@click.option("--device", metavar="NAME", help="The device of torch: cpu, cuda, cuda:1, mps (cpu).")
@click.option("--precision", type=click.Choice(["f32", "bf16", "int8"]), help="Precision of the embeddings (f32).")
@click.option(
    "--gallery", metavar="URL", help="The store of galleries: sqlite:///FILE or postgresql+psycopg://... (none)."
)
@click.option("--keys", metavar="FILE", help="The file of keys, made by `visavis keys` (none: no key is needed).")
@click.option("--insecure", is_flag=True, default=None, help="Listen beyond this machine without keys.")
@click.option("--tls-certificate", metavar="FILE", help="A PEM file with the certificate, and those above it.")
@click.option("--tls-key", metavar="FILE", help="A PEM file with the certificate's key, without passphrase.")
def serve(*, check: bool, **given: Any) -> None:
    """Start the HTTP service.

    Every setting is also an environment variable and a key of the file: VISAVIS_PORT, port; see docs/api.md.
    """
    try:
        import service  # noqa: PLC0415 - needs the extra "service"

        start, look = service.run, service.check
    except ModuleNotFoundError as error:
        raise ServeError(
            f"{missing_module(error)} is not installed; install the service: pip install 'visavis[service]'"
        ) from None
    if check:
        _tell(look(**given))
    try:
        start(**given)
    except service.ServingError as error:
        raise ServeError(str(error)) from None


def _tell(findings: "Sequence[Finding]") -> NoReturn:
    for each in findings:
        mark = click.style("wrong", fg="red") if each.is_wrong else click.style("ok   ", fg="green")
        click.echo(f"{mark}  {each.subject:<9} {each.text}")
    n_wrong = sum(each.is_wrong for each in findings)
    click.echo(f"{n_wrong} wrong; nothing was served" if n_wrong else "nothing is wrong; nothing was served")
    sys.exit(1 if n_wrong else 0)
