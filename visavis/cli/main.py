"""The `visavis` command: one group whose subcommands are imported when they are called, so that --help is quick."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from traceback import print_exc
from warnings import filterwarnings

import click

from embedder import VisavisError

# name -> where it lives, and its line in --help (so that help imports nothing)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "verify": ("visavis.cli.verify:verify", "Do two photos show one person?"),
    "detect": ("visavis.cli.detect:detect", "Find the faces in photos."),
    "embed": ("visavis.cli.embed:embed", "Turn faces into embeddings of 128 channels."),
    "explain": ("visavis.cli.explain:explain", "Why do two photos show one person, or not?"),
    "atlas": ("visavis.cli.atlas:atlas", "What each channel goes with, over photos of many people."),
    "serve": ("visavis.cli.serve:serve", "Start the HTTP service."),
    "prepare": ("visavis.cli.prepare:prepare_command", "Find the faces in photos once, for training."),
    "train": ("visavis.cli.train:train_command", "Learn a model from photos of people."),
    "evaluate": ("visavis.cli.evaluate:evaluate_command", "Measure a model's error rates on photos."),
    "calibrate": ("visavis.cli.calibrate:calibrate_command", "Measure a model's operating points on your photos."),
    "model": ("visavis.cli.model:model", "Show the model card."),
    "describe": ("visavis.cli.describe:describe", "Show the network layer by layer."),
    "maps": ("visavis.cli.maps:maps", "Draw what a layer makes of a face, or its kernels."),
    "export": ("visavis.cli.convert:export_command", "Write the network for other programs: ONNX, OpenVINO."),
    "import-dlib": ("visavis.cli.convert:import_dlib_command", "Turn dlib's .dat file into a model bundle."),
    "import-sface": (
        "visavis.cli.convert:import_sface_command",
        "Turn SFace's .onnx file into a model bundle.",
    ),
}

# The commands that need the extra `train`; `serve` and the others need `service`.
NEED_TRAIN = {"atlas", "calibrate", "evaluate", "export", "prepare", "train"}

OURS = ("embedder", "service", "train", "visavis")

EXIT_TROUBLE = 2
EXIT_INTERRUPTED = 130  # as shells say of a program ended by Ctrl-C


class ExtraMissing(click.ClickException):
    """A subcommand needs what the base install does not hold; `extra` does."""

    exit_code = EXIT_TROUBLE

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed, which this command needs; run: pip install 'visavis[{extra}]'")


def missing_module(error: ModuleNotFoundError) -> str:
    """The module that is not installed. Raises the error itself where it is one of ours, which no extra brings."""
    if error.name is None or error.name.partition(".")[0] in OURS:
        raise error
    return error.name


class LazyGroup(click.Group):
    """A group that imports a subcommand only to run it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names, in the order of use."""
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

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand, and tell an error of ours in one line.

        Neither a crash nor Ctrl-C may end in 1, which `verify` says of different persons.
        """
        try:
            return super().invoke(ctx)
        except VisavisError as error:
            click.echo(f"visavis: {error}", err=True)
            sys.exit(EXIT_TROUBLE)
        except KeyboardInterrupt:
            click.echo("visavis: interrupted", err=True)
            sys.exit(EXIT_INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:  # noqa: BLE001 - told in full; only the status is chosen
            print_exc()
            sys.exit(EXIT_TROUBLE)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands from their one-line texts, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("visavis"), prog_name="visavis")
def main() -> None:
    """Are these two photos of one person? Answers offline, on a plain CPU.

    visavis does not tell a live face from a photo of a photo.
    """
    # Threads that wait for each other by turning in circles slow a busy machine down, some jobs to a fifth; those that
    # sleep cost a quiet one nothing. The library below reads this when torch is imported, which the subcommands do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Pillow warns of huge pictures on stderr; ours are refused by a limit of our own, in words.
    filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
