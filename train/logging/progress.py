"""What a person sees of a run: a bar on a terminal, a line twice a minute where stderr goes elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..evaluation.record import rate_text
from ..runfile.schema import LoopConfig
from .csv_log import StepRecord, ValidationRecord

MINUTE_S, HOUR_S = 60, 3600


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


class Pace:
    """The time left. It is told by the steps since it was first asked, so a run that goes on is told rightly too."""

    def __init__(self, length: RunLength) -> None:
        self._length = length
        self._first: StepRecord | None = None

    def left_s(self, now: StepRecord) -> float | None:
        """Return the seconds that are left; None where there is no saying yet."""
        if self._length.seconds is not None:
            return max(0.0, self._length.seconds - now.seconds)
        first = self._first = self._first or now
        n_steps, seconds = now.step - first.step, now.seconds - first.seconds
        return None if n_steps <= 0 else max(0, (self._length.steps or 0) - now.step) * seconds / n_steps


def duration(seconds: float) -> str:
    """Say a duration as people do: 45 s, 3 min 20 s, 1 h 5 min."""
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return _two(whole, MINUTE_S, "min", 1, "s")
    return _two(whole, HOUR_S, "h", MINUTE_S, "min")


def _two(whole: int, large: int, of_large: str, small: int, of_small: str) -> str:
    n_small = whole % large // small
    return f"{whole // large} {of_large}" + (f" {n_small} {of_small}" if n_small else "")


LINE_EVERY_S = 30
REFRESH_EVERY_S = 0.5  # a bar that is drawn more often takes its time from the run
BAR_WIDTH = 16


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
        self._length, self._pace = length, Pace(length)
        self._told_at_s: float | None = None

    def step(self, now: StepRecord) -> None:
        """Tell of it if the last line is long enough ago."""
        left = self._pace.left_s(now)
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

    def __init__(self, length: RunLength, progress: Progress) -> None:
        self._length, self._pace, self._progress = length, Pace(length), progress
        self._task = progress.add_task("the first step", total=1.0, facts="")
        self._eer: float | None = None
        self._drawn_at_s = -REFRESH_EVERY_S

    def step(self, now: StepRecord) -> None:
        """Move the bar if it has stood long enough."""
        left, share = self._pace.left_s(now), self._length.share(now.step, now.seconds)
        if share < 1 and now.seconds - self._drawn_at_s < REFRESH_EVERY_S:
            return
        self._drawn_at_s = now.seconds
        self._progress.update(
            self._task,
            completed=share,
            description=place(self._length, now),
            facts=facts(now, left, self._eer),
            refresh=True,
        )

    def validation(self, found: ValidationRecord) -> None:
        """Tell of it above the bar, and keep the figure beside it."""
        self._eer = found.eer
        self.say(validated(found))

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)


@contextmanager
def no_live_progress() -> Iterator[LiveProgress]:
    """Tell nobody."""
    yield NoProgress()


@contextmanager
def live_progress(length: RunLength) -> Iterator[LiveProgress]:
    """Tell of a run of this length on stderr, as fits what stderr is."""
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield LineProgress(length)
        return
    columns = TextColumn("{task.description}"), BarColumn(BAR_WIDTH), TextColumn("{task.fields[facts]}")
    with Progress(*columns, console=console, auto_refresh=False, redirect_stdout=False) as progress:
        yield BarProgress(length, progress)


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
