"""What a run writes and shows while it goes on, and the picture of it all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from embedder import replace_file

from ..learning.loop import RunLogger
from ..logging.csv_log import RunLog, StepRecord, ValidationRecord, read_steps, read_validations
from ..logging.curves import curves
from ..logging.progress import RunLength, live_progress, no_live_progress
from ..runfile.schema import LoopConfig


class LoggerGroup:
    """Several who are told the same."""

    def __init__(self, *told: RunLogger) -> None:
        self._told = told

    def step(self, now: StepRecord) -> None:
        """Tell each."""
        for each in self._told:
            each.step(now)

    def validation(self, found: ValidationRecord) -> None:
        """Tell each."""
        for each in self._told:
            each.validation(found)


@contextmanager
def run_loggers(
    folder: Path, loop: LoopConfig, parts: tuple[str, ...], resumed_from: int | None
) -> Iterator[RunLogger]:
    """Write tables and show progress; when it ends, however it ends, draw the curves of all that was written."""
    with RunLog(folder, parts, resumed_from) as log, live_progress(RunLength.of(loop)) as live:
        try:
            yield LoggerGroup(log, live)
        finally:
            draw_curves(folder)


@contextmanager
def no_loggers() -> Iterator[RunLogger]:
    """Tell nobody: of several processes, the first alone tells."""
    with no_live_progress() as nobody:
        yield nobody


def draw_curves(folder: Path) -> None:
    """Draw a run's tables beside them, as curves.png."""
    picture = curves(read_steps(folder), read_validations(folder))
    if picture is None:
        return
    try:
        replace_file(folder / "curves.png", picture.png)
    except OSError as error:  # nothing is lost: they can be drawn from the tables, and what ended the run matters more
        click.echo(f"visavis: curves.png cannot be written: {error.strerror}", err=True)
