"""`visavis train`: from folders of prepared chips to a model that can be served, as one file says."""

import shlex
from pathlib import Path

import click

from train import read_run_file, run_training

from . import data_options


@click.command(name="train")
@click.argument("run_file", type=data_options.PATH, metavar="RUN.toml")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A value over the run file's, as in --set data.train=DATA or --set losses.0.margin=0.3; may be given again.",
)
@click.option(
    "--out", type=data_options.PATH, metavar="RUN", help="The run's folder (the run file's name, without .toml)."
)
@click.option("--resume", is_flag=True, help="Go on with the run in that folder, from its last checkpoint.")
def train_command(run_file: Path, settings: tuple[str, ...], out: Path | None, *, resume: bool) -> None:
    """Learn a model from photos of people, as a run file says.

    Photos become chips once, by `visavis prepare DIR --out DATA`; the run file names DATA. What comes of the run is in
    its folder: the model in RUN/bundle, with operating points measured on people held out, the report of its evaluation
    in RUN/report, and the course of the run in curves.png, steps.csv and validation.csv.

    Several processes share a run by: torchrun --no-python --nproc-per-node 2 visavis train RUN.toml

    Exit status: 0, or 2 where the run cannot be made, or has collapsed.
    """
    run = read_run_file(run_file, settings)
    ended = run_training(run, out or Path(run_file.stem), resume=resume)
    if ended is None:  # another process than the first
        return
    click.echo(ended.text)
    for note in ended.notes:
        click.echo(f"  beware       {note}")
    click.echo(f"The model is in {ended.bundle}; serve it by: visavis serve --model {shlex.quote(str(ended.bundle))}")
