"""What a person sees of a run: a bar on a terminal, a line twice a minute where stderr goes elsewhere; all loggers.

Nothing is written on stdout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Protocol, Self

import click

from embedder import LINE_EVERY_S, ProgressBar, TimeLeft, duration, progress_bar, replace_file

from ..evaluation.record import rate_text
from ..run_file import LoopConfig
from .csv_log import RunLog, StepRecord, ValidationRecord, read_steps, read_validations
from .curves import curves

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class RunLength:
    """How long a run is: so many steps, or so many seconds; the other one is None."""

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, loop: LoopConfig) -> Self:
        """Return what a run file says."""
        return cls(loop.steps, None if loop.minutes is None else loop.minutes * MINUTE_S)

    def share(self, step: int, seconds: float) -> float:
        """Return how much of the run is done, from 0 to 1, after so many steps and seconds."""
        done, whole = (step, self.steps) if self.steps else (seconds, self.seconds)
        return min(1.0, done / whole) if whole else 1.0


class RunTimeLeft:
    """The time left of a run, by the steps since this was first asked, so that it is right of a resumed run too."""

    def __init__(self, length: RunLength) -> None:
        self._length = length
        self._of_steps: TimeLeft | None = None

    def left_s(self, now: StepRecord) -> float | None:
        """Return the seconds that are left; None where they are not known yet."""
        if self._length.seconds is not None:
            return max(0.0, self._length.seconds - now.seconds)
        if self._of_steps is None:
            self._of_steps = TimeLeft(self._length.steps or 0, now.step, now.seconds, over_s=inf)
        self._of_steps.update(now.step, now.seconds)
        return self._of_steps.left_s


class RunLogger(Protocol):
    """Whoever takes note of what happens."""

    def step(self, now: StepRecord) -> None:
        """Take note of a step."""

    def validation(self, found: ValidationRecord) -> None:
        """Take note of a look at people held out."""


class LiveProgress(Protocol):
    """Whoever is told what happens."""

    def step(self, now: StepRecord) -> None:
        """Take note of a step; it may be every one."""

    def validation(self, found: ValidationRecord) -> None:
        """Take note of a look at people held out."""

    def say(self, text: str) -> None:
        """Take note of anything else, in a line."""


class NoProgress:
    """Nobody: of several processes, all but the first."""

    def step(self, now: StepRecord) -> None:
        """Tell nobody."""

    def validation(self, found: ValidationRecord) -> None:
        """Tell nobody."""

    def say(self, text: str) -> None:
        """Tell nobody."""


class LineProgress:
    """A line for the first step, one every 30 s of the run, and one for every look at people held out."""

    def __init__(self, length: RunLength) -> None:
        self._length, self._time_left = length, RunTimeLeft(length)
        self._told_at_s: float | None = None

    def step(self, now: StepRecord) -> None:
        """Tell of it if the last line is long enough ago."""
        left = self._time_left.left_s(now)
        if self._told_at_s is None or now.seconds - self._told_at_s >= LINE_EVERY_S:
            self._told_at_s = now.seconds
            self.say(f"{place(self._length, now)}, {duration(now.seconds)}: {facts(now, left)}")

    def validation(self, found: ValidationRecord) -> None:
        """Tell of it."""
        self.say(validated(found))

    def say(self, text: str) -> None:
        """Write a line on stderr."""
        click.echo(text, err=True)


class BarProgress:
    """A bar that stays in its place, with lines above it."""

    def __init__(self, length: RunLength, bar: ProgressBar) -> None:
        self._length, self._time_left, self._bar = length, RunTimeLeft(length), bar
        self._eer: float | None = None

    def step(self, now: StepRecord) -> None:
        """Move the bar."""
        left_s, share = self._time_left.left_s(now), self._length.share(now.step, now.seconds)
        self._bar.update(share, place(self._length, now), facts(now, left_s, self._eer))

    def validation(self, found: ValidationRecord) -> None:
        """Tell of it above the bar, and keep the figure beside it."""
        self._eer = found.eer
        self.say(validated(found))

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.write(text)


@contextmanager
def no_live_progress() -> Iterator[LiveProgress]:
    """Tell nobody."""
    yield NoProgress()


@contextmanager
def live_progress(length: RunLength) -> Iterator[LiveProgress]:
    """Tell of a run of this length on stderr, as fits what stderr is."""
    with progress_bar("the first step") as bar:
        yield LineProgress(length) if bar is None else BarProgress(length, bar)


def place(length: RunLength, now: StepRecord) -> str:
    """Say which step it is."""
    return f"step {now.step:,}" + (f" of {length.steps:,}" if length.steps else "")


def facts(now: StepRecord, left_s: float | None, eer: float | None = None) -> str:
    """Say what matters at a step, the most wanted first: a narrow terminal cuts the end off."""
    told = [f"loss {now.loss:.4g}", f"{now.rate_faces_s:,.0f} faces/s"]
    told += [f"{duration(left_s)} left"] if left_s is not None else []
    told += [f"EER {rate_text(eer)}"] if eer is not None else []
    return ", ".join(told)


def validated(found: ValidationRecord) -> str:
    """Say what a look at people held out has given."""
    comparisons = f"{found.n_genuine:,} genuine and {found.n_impostor:,} impostor comparisons"
    best = ", the lowest so far" if found.is_best else ""
    return f"step {found.step:,}, people held out: EER {rate_text(found.eer)} of {comparisons}{best}"


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
