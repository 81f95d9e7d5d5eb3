"""Progress of a run on stderr: a bar on a terminal, otherwise two lines per minute; also the group of all loggers.

Nothing is written to stdout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Protocol, Self

import click

from embedder import LINE_EVERY_S, ProgressBar, TimeLeft, duration, progress_bar, replace_file

from ..evaluation.results import rate_text
from ..run_file import LoopConfig
from .csv_log import RunLog, StepRecord, ValidationRecord, read_steps, read_validations
from .curves import curves

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class RunLength:
    """The length of a run, in steps or in seconds; the other one is None."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, loop: LoopConfig) -> Self:
        """Return the length that a run file sets."""
        return cls(loop.steps, None if loop.minutes is None else loop.minutes * MINUTE_S)

    def share(self, step: int, seconds: float) -> float:
        """Return the completed share of the run, from 0 to 1."""
        done, whole = (step, self.steps) if self.steps else (seconds, self.seconds)
        return min(1.0, done / whole) if whole else 1.0


class RunTimeLeft:
    """Estimates the time left from the steps since the first call, so that it is correct for resumed runs too."""

    def __init__(self, length: RunLength) -> None:
        self._length = length
        self._of_steps: TimeLeft | None = None

    def left_s(self, now: StepRecord) -> float | None:
        """Return the seconds left; None if not known yet."""
        if self._length.seconds is not None:
            return max(0.0, self._length.seconds - now.seconds)
        if self._of_steps is None:
            self._of_steps = TimeLeft(self._length.steps or 0, now.step, now.seconds, over_s=inf)
        self._of_steps.update(now.step, now.seconds)
        return self._of_steps.left_s


class RunLogger(Protocol):
    """Receives the records of a run."""

    def step(self, now: StepRecord) -> None:
        """Log a step."""

    def validation(self, found: ValidationRecord) -> None:
        """Log a validation."""


class LiveProgress(Protocol):
    """Shows the progress of a run."""

    def step(self, now: StepRecord) -> None:
        """Show a step; called for every logged step."""

    def validation(self, found: ValidationRecord) -> None:
        """Log a validation."""

    def say(self, text: str) -> None:
        """Show a line of text."""


class NoProgress:
    """Shows nothing, in all processes but the first."""

    def step(self, now: StepRecord) -> None:
        """Show nothing."""

    def validation(self, found: ValidationRecord) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""


class LineProgress:
    """Prints a line for the first step, one every 30 s, and one for every validation."""

    def __init__(self, length: RunLength) -> None:
        self._length, self._time_left = length, RunTimeLeft(length)
        self._printed_at_s: float | None = None

    def step(self, now: StepRecord) -> None:
        """Print a line if the last one is at least 30 s ago."""
        left = self._time_left.left_s(now)
        if self._printed_at_s is None or now.seconds - self._printed_at_s >= LINE_EVERY_S:
            self._printed_at_s = now.seconds
            self.say(f"{place(self._length, now)}, {duration(now.seconds)}: {facts(now, left)}")

    def validation(self, found: ValidationRecord) -> None:
        """Print a line."""
        self.say(validated(found))

    def say(self, text: str) -> None:
        """Write a line to stderr."""
        click.echo(text, err=True)


class BarProgress:
    """A progress bar, with text lines above it."""

    def __init__(self, length: RunLength, bar: ProgressBar) -> None:
        self._length, self._time_left, self._bar = length, RunTimeLeft(length), bar
        self._eer: float | None = None

    def step(self, now: StepRecord) -> None:
        """Update the bar."""
        left_s, share = self._time_left.left_s(now), self._length.share(now.step, now.seconds)
        self._bar.update(share, place(self._length, now), facts(now, left_s, self._eer))

    def validation(self, found: ValidationRecord) -> None:
        """Print a line above the bar, and show the EER beside the bar."""
        self._eer = found.eer
        self.say(validated(found))

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.write(text)


@contextmanager
def no_live_progress() -> Iterator[LiveProgress]:
    """Show nothing."""
    yield NoProgress()


@contextmanager
def live_progress(length: RunLength) -> Iterator[LiveProgress]:
    """Show progress on stderr: a bar on a terminal, otherwise lines."""
    with progress_bar("the first step") as bar:
        yield LineProgress(length) if bar is None else BarProgress(length, bar)


def place(length: RunLength, now: StepRecord) -> str:
    """Return the number of the step as text."""
    return f"step {now.step:,}" + (f" of {length.steps:,}" if length.steps else "")


def facts(now: StepRecord, left_s: float | None, eer: float | None = None) -> str:
    """Summarise a step, most important first, because a narrow terminal truncates the end."""
    parts = [f"loss {now.loss:.4g}", f"{now.rate_faces_s:,.0f} faces/s"]
    parts += [f"{duration(left_s)} left"] if left_s is not None else []
    parts += [f"EER {rate_text(eer)}"] if eer is not None else []
    return ", ".join(parts)


def validated(found: ValidationRecord) -> str:
    """Summarise a validation."""
    comparisons = f"{found.n_genuine:,} genuine and {found.n_impostor:,} impostor comparisons"
    best = ", the lowest so far" if found.is_best else ""
    return f"step {found.step:,}, people held out: EER {rate_text(found.eer)} of {comparisons}{best}"


class LoggerGroup:
    """Passes records on to several loggers."""

    def __init__(self, *loggers: RunLogger) -> None:
        self._loggers = loggers

    def step(self, now: StepRecord) -> None:
        """Pass the record on."""
        for each in self._loggers:
            each.step(now)

    def validation(self, found: ValidationRecord) -> None:
        """Pass the record on."""
        for each in self._loggers:
            each.validation(found)


@contextmanager
def run_loggers(
    folder: Path, loop: LoopConfig, parts: tuple[str, ...], resumed_from: int | None
) -> Iterator[RunLogger]:
    """Write the CSV logs and show progress; in the end, even after an error, draw the curves."""
    with RunLog(folder, parts, resumed_from) as log, live_progress(RunLength.of(loop)) as live:
        try:
            yield LoggerGroup(log, live)
        finally:
            draw_curves(folder)


@contextmanager
def no_loggers() -> Iterator[RunLogger]:
    """Log nothing, in all processes but the first."""
    with no_live_progress() as nobody:
        yield nobody


def draw_curves(folder: Path) -> None:
    """Draw curves.png from a run's CSV logs."""
    picture = curves(read_steps(folder), read_validations(folder))
    if picture is None:
        return
    try:
        replace_file(folder / "curves.png", picture.png)
    except OSError as error:  # not fatal: they can be redrawn, and an error that ended the run is more important
        click.echo(f"visavis: curves.png cannot be written: {error.strerror}", err=True)
