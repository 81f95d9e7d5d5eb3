"""`visavis train`: train a model on prepared chips, as configured in a run file."""

import shlex
import sys
from pathlib import Path

import click

from train import read_run_file, run_training

from . import data_options

EXIT_USELESS = 3


@click.command(name="train")
@click.argument("run_file", type=data_options.PATH, metavar="RUN.toml")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the run file: --set data.train=DATA or --set losses.0.margin=0.3. Repeatable.",
)
@click.option(
    "--out",
    type=data_options.PATH,
    metavar="RUN",
    help="The run's folder (default: the run file's name without .toml).",
)
@click.option("--resume", is_flag=True, help="Resume the run in that folder from its last checkpoint.")
def train_command(run_file: Path, settings: tuple[str, ...], out: Path | None, *, resume: bool) -> None:
    """Train a model on photos of people, as configured in a run file.

    First convert the photos to chips with `visavis prepare DIR --out DATA`; the run file names DATA. The run's folder
    contains the model in RUN/bundle, with operating points measured on held-out people, the evaluation report in
    RUN/report, and the training curves in curves.png, steps.csv and validation.csv.

    For several processes: torchrun --no-python --nproc-per-node 2 visavis train RUN.toml

    Exit status: 0, 2 if the run cannot start or has collapsed, or 3 if the model is worse than it began, or no better
    than chance, by the EER on the people held out. The last line says so.
    """
    run = read_run_file(run_file, settings)
    ended = run_training(run, out or Path(run_file.stem), resume=resume)
    if ended is None:  # not the first process
        return
    click.echo(ended.text)
    for note in ended.notes:
        click.echo(f"  caution      {note}")
    if ended.failure is not None:
        click.echo(f"The model is in {ended.bundle}, but {ended.failure}")
        sys.exit(EXIT_USELESS)
    click.echo(f"The model is in {ended.bundle}; serve it with: visavis serve --model {shlex.quote(str(ended.bundle))}")
