"""The `visavis` command: a group that imports a subcommand only when it is called, so that --help is fast."""

import os
import sys
from collections.abc import Mapping
from errno import EPIPE
from importlib import import_module
from importlib.metadata import version
from traceback import print_exc, walk_tb
from typing import Any, NoReturn
from warnings import filterwarnings

import click

from embedder import VisavisError, printable

# name -> location and line in --help, so that --help imports nothing
COMMANDS: Mapping[str, tuple[str, str]] = {
    "verify": ("visavis.cli.verify:verify", "Decide whether two photos show one person."),
    "detect": ("visavis.cli.detect:detect", "Find the faces in photos."),
    "embed": ("visavis.cli.embed:embed", "Convert faces to embeddings."),
    "group": ("visavis.cli.group:group", "Sort the faces of a folder of photos into people."),
    "explain": ("visavis.cli.explain:explain", "Explain why two photos match, or do not."),
    "atlas": ("visavis.cli.atlas:atlas", "Correlate the channels with traits, over photos of many people."),
    "gallery": ("visavis.cli.gallery:gallery", "Enrol people, identify them on photos, list and forget them."),
    "serve": ("visavis.cli.serve:serve", "Start the HTTP service."),
    "keys": ("visavis.cli.keys:keys", "Make, list, revoke and rotate keys of the HTTP service."),
    "audit": ("visavis.cli.audit:audit", "Verify or summarise the audit log of a service."),
    "doctor": ("visavis.cli.doctor:doctor", "Tell what this machine can do."),
    "prepare": ("visavis.cli.prepare:prepare_command", "Find and align the faces in photos, for training."),
    "check-labels": ("visavis.cli.check_labels:check_labels_command", "Find photos under a wrong name."),
    "train": ("visavis.cli.train:train_command", "Train a model on photos of people."),
    "evaluate": ("visavis.cli.evaluate:evaluate_command", "Measure a model's error rates on photos."),
    "calibrate": ("visavis.cli.calibrate:calibrate_command", "Measure a model's operating points on your photos."),
    "model": ("visavis.cli.model:model", "Show the model card."),
    "models": ("visavis.cli.models:models", "List the models that are known here."),
    "project": ("visavis.cli.project:project", "Project a model's embeddings to fewer channels."),
    "describe": ("visavis.cli.describe:describe", "Show the network layer by layer."),
    "maps": ("visavis.cli.maps:maps", "Draw a layer's feature maps for a face, or its kernels."),
    "export": ("visavis.cli.convert:export_command", "Export the network to ONNX or OpenVINO."),
    "import-dlib": ("visavis.cli.convert:import_dlib_command", "Convert dlib's .dat file to a model bundle."),
    "import-sface": (
        "visavis.cli.convert:import_sface_command",
        "Convert SFace's .onnx file to a model bundle.",
    ),
    "import-onnx": (
        "visavis.cli.import_onnx:import_onnx_command",
        "Make a model bundle of a network of your own.",
    ),
}

# The commands that need the extra `train`; `serve` and the others need `service`.
NEED_TRAIN = {"atlas", "calibrate", "check-labels", "evaluate", "export", "import-onnx", "prepare", "project", "train"}

OURS = ("embedder", "gallery", "service", "train", "visavis")

STDOUT = 1  # its file descriptor

EXIT_TROUBLE = 2
MAX_MESSAGE, MAX_PATH = 10_000, 4096  # characters that are shown of an error and of a path
EXIT_INTERRUPTED = 130  # the shells' status for a program ended by Ctrl-C


class ExtraMissing(click.ClickException):
    """A subcommand needs a module that is not in the base installation but in `extra`."""

    exit_code = EXIT_TROUBLE

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed, which this command needs; run: pip install 'visavis[{extra}]'")


def missing_module(error: ModuleNotFoundError) -> str:
    """Return the name of the missing module. Raises the error itself if the module is part of visavis."""
    if error.name is None or error.name.partition(".")[0] in OURS:
        raise error
    return error.name


def _is_of_output(error: OSError) -> bool:
    """Whether printing has failed."""
    return [frame.f_code for frame, _ in walk_tb(error.__traceback__)][-1] is click.echo.__code__


def _end_without_output(error: OSError) -> NoReturn:
    """Exit as other commands do if nobody reads the output (as in `visavis ... | head`), or it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # so that Python's own flush at the end succeeds
    if error.errno != EPIPE:
        click.echo(f"visavis: the output cannot be written: {error.strerror}", err=True)
    sys.exit(EXIT_TROUBLE)


class LazyGroup(click.Group):
    """A group that imports a subcommand only to run it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            extra = "train" if cmd_name in NEED_TRAIN else "service"
            raise ExtraMissing(missing_module(error), extra) from error
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; the help too may fail to be printed."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if _is_of_output(error):
                _end_without_output(error)
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand, and print a VisavisError in one line.

        Neither a crash nor Ctrl-C may exit with 1, which `verify` uses for different persons.
        """
        try:
            return super().invoke(ctx)
        except VisavisError as error:
            click.echo(f"visavis: {printable(str(error), MAX_MESSAGE)}", err=True)
            sys.exit(EXIT_TROUBLE)
        except KeyboardInterrupt:
            click.echo("visavis: interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - it is told; only the status is changed
            if isinstance(error, OSError) and _is_of_output(error):
                _end_without_output(error)
            print_exc()
            sys.exit(EXIT_TROUBLE)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("visavis"), prog_name="visavis")
def main() -> None:
    """Verify whether two photos show one person, offline and on a CPU.

    visavis has no liveness detection: it cannot tell a live face from a photo.
    """
    # Busy-waiting threads slow down a busy machine, some jobs to a fifth of their speed; sleeping threads cost nothing
    # on an idle one. OpenMP reads this when a subcommand imports torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Pillow warns on stderr about huge images and odd tags; visavis refuses what it does not read, with an error.
    filterwarnings("ignore", module=r"PIL\.")
