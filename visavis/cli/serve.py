"""`visavis serve`: start the HTTP service. Imports nothing heavy, so that --help works in the base installation."""

import click

from .main import missing_module


class ServeError(click.ClickException):
    """The service cannot start; printed in one line, with exit status 2."""

    exit_code = 2


@click.command()
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1; 0.0.0.0 = all addresses of this machine)."
)
@click.option("--port", type=click.IntRange(0, 65535), help="The port (8000; 0 = any free one).")
@click.option("--model", metavar="MODEL", help="A model bundle to serve, or the name of a built-in model (sface-128).")
@click.option(
    "--runtime",
    type=click.Choice(["openvino", "torch"]),
    help="The runtime of the networks (openvino on a CPU, else torch).",
)
@click.option("--device", metavar="NAME", help="The device of torch: cpu, cuda, cuda:1, mps (cpu).")
@click.option("--precision", type=click.Choice(["f32", "bf16", "int8"]), help="Precision of the embeddings (f32).")
@click.option("--keys", metavar="FILE", help="The file of keys, made by `visavis keys` (none: no key is needed).")
@click.option("--insecure", is_flag=True, default=None, help="Listen beyond this machine without keys.")
@click.option("--tls-certificate", metavar="FILE", help="A PEM file with the certificate, and those above it.")
@click.option("--tls-key", metavar="FILE", help="A PEM file with the certificate's key, without passphrase.")
def serve(**given: object) -> None:
    """Start the HTTP service.

    Every setting is also an environment variable: VISAVIS_HOST, VISAVIS_PORT, VISAVIS_MODEL and more; see docs/api.md.
    """
    try:
        from service import ServingError, run  # noqa: PLC0415 - needs the extra "service"
    except ModuleNotFoundError as error:
        raise ServeError(
            f"{missing_module(error)} is not installed; install the service: pip install 'visavis[service]'"
        ) from None
    try:
        run(**given)
    except ServingError as error:
        raise ServeError(str(error)) from None
