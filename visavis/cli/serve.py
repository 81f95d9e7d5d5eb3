"""The command `visavis serve`. Imports nothing heavy, so that its --help is quick and works in the base install."""

import click

from .main import missing_module


class ServeError(click.ClickException):
    """Told in one line, with the exit status that all trouble has."""

    exit_code = 2


@click.command()
@click.option("--host", metavar="ADDRESS", help="Where to listen (127.0.0.1; 0.0.0.0 = every address of this machine).")
@click.option("--port", type=click.IntRange(0, 65535), help="The port (8000; 0 = any free one).")
@click.option("--model", metavar="MODEL", help="A model bundle to serve, or the name of a built-in model (sface-128).")
@click.option(
    "--runtime",
    type=click.Choice(["openvino", "torch"]),
    help="What runs the networks (openvino on a CPU, else torch).",
)
@click.option("--device", metavar="NAME", help="Where torch computes: cpu, cuda, cuda:1, mps (cpu).")
@click.option("--precision", type=click.Choice(["f32", "bf16", "int8"]), help="What embeddings are computed in (f32).")
def serve(**given: object) -> None:
    """Answer over HTTP.

    Every setting is also an environment variable: VISAVIS_HOST, VISAVIS_PORT, VISAVIS_MODEL and more; see docs/api.md.
    """
    try:
        from service import ServingError, run  # noqa: PLC0415 - needs the extra "service", which the base install lacks
    except ModuleNotFoundError as error:
        raise ServeError(
            f"{missing_module(error)} is not installed; install the service: pip install 'visavis[service]'"
        ) from None
    try:
        run(**given)
    except ServingError as error:
        raise ServeError(str(error)) from None
