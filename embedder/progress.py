"""Progress of long jobs, on stderr: a bar on a terminal, otherwise lines. Nothing is written to stdout."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LINE_EVERY_S = 30
REFRESH_EVERY_S = 0.5  # drawing the bar more often would slow down the job
BAR_WIDTH = 16
RATE_OVER_S = 60  # short enough that the estimate adapts, for example when photos become larger
MARKS = 60  # within that time


@dataclass(frozen=True, slots=True)
class Job:
    """A long job, such as "embedding" 2,000 "photos"."""

    doing: str
    n: int
    unit: str = "photos"
    n_done: int = 0  # by an earlier run

    def __str__(self) -> str:
        return f"{self.doing} {self.n - self.n_done:,} {self.unit}"


Advance = Callable[[int], None]  # called with the number of further units done
Progress = Callable[[Job], AbstractContextManager[Advance]]


class TimeLeft:
    """The recent rate of a job, and the time left at that rate.

    Args:
        n: Total amount of work, in any unit.
        n_done: Amount done so far.
        at_s: The current time, in seconds of any clock.
        over_s: Window of the rate, in seconds; `inf` = all the time since `at_s`.
    """

    def __init__(self, n: float, n_done: float, at_s: float, over_s: float = RATE_OVER_S) -> None:
        self._n, self._over_s = n, over_s
        self._now = at_s, n_done
        self._marks = deque([self._now])  # the first one is where the rate is counted from

    def update(self, n_done: float, at_s: float) -> None:
        """Record the total amount done."""
        self._now = at_s, n_done
        while len(self._marks) > 1 and at_s - self._marks[1][0] >= self._over_s:
            self._marks.popleft()
        if at_s - self._marks[-1][0] >= self._over_s / MARKS:
            self._marks.append(self._now)

    @property
    def rate(self) -> float:
        """The amount done per second; 0 before the first update."""
        (begin_s, n_then), (end_s, n_now) = self._marks[0], self._now
        return (n_now - n_then) / (end_s - begin_s) if end_s > begin_s else 0.0

    @property
    def left_s(self) -> float | None:
        """The time left in seconds; None while the rate is 0."""
        return max(0.0, self._n - self._now[1]) / self.rate if self.rate > 0 else None


def duration(seconds: float) -> str:
    """Format a duration in its two largest units, as in 45 s, 3 min 20 s, 1 h, 2 d 7 h."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    units = [(days, "d"), (h, "h"), (m, "min"), (s, "s")]
    first = next((place for place, (number, _) in enumerate(units) if number), len(units) - 1)
    largest, *smaller = units[first : first + 2]
    return " ".join(f"{number} {unit}" for number, unit in [largest, *(each for each in smaller if each[0])])


class ProgressBar:
    """A bar in the last line of a terminal, between two texts."""

    def __init__(self, bar: "RichProgress", before: str) -> None:
        self._bar, self._drawn_at_s = bar, -inf
        self._task = bar.add_task(before, total=1.0, after="")

    def update(self, share: float, before: str, after: str) -> None:
        """Redraw the bar if it is full or due; `share` is from 0 to 1."""
        now = monotonic()
        if share >= 1 or now - self._drawn_at_s >= REFRESH_EVERY_S:
            self._drawn_at_s = now
            self._bar.update(self._task, completed=share, description=before, after=after, refresh=True)

    def write(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False)


@contextmanager
def progress_bar(before: str) -> Iterator[ProgressBar | None]:
    """Show a bar on stderr; yields None if rich is not installed, or stderr is not a terminal that can draw one."""
    try:
        from rich.console import Console  # noqa: PLC0415 - the extra "service" does not include rich
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - the same
    except ModuleNotFoundError:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(BAR_WIDTH), TextColumn("{task.fields[after]}")
    with Progress(*columns, console=console, auto_refresh=False, redirect_stdout=False) as bar:
        yield ProgressBar(bar, before)


@contextmanager
def no_progress(_job: Job) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda _n_more: None


@contextmanager
def show_progress(job: Job) -> Iterator[Advance]:
    """Show a job on stderr as a bar, or as lines: at its start, every 30 s, and at the end if it took that long."""
    with progress_bar(job.doing) as bar:
        if bar is not None:
            yield _shown(job, bar.update)
            return
        lines = _Lines(job)
        yield _shown(job, lines.update)
        lines.end()


def progress_text(job: Job, n_done: int, left: TimeLeft) -> str:
    """Format the amount of a job that is done, with the rate and the time left if they are known."""
    text = f"{n_done:,} of {job.n:,} {job.unit}"
    if left.left_s is None:
        return text
    return f"{text}, {left.rate:,.1f} {job.unit}/s, {duration(left.left_s)} left"


def _shown(job: Job, show: Callable[[float, str, str], None]) -> Advance:
    n_done, left = job.n_done, TimeLeft(job.n, job.n_done, monotonic())

    def advance(n_more: int) -> None:
        nonlocal n_done
        n_done += n_more
        left.update(n_done, monotonic())
        show(n_done / job.n if job.n else 1.0, job.doing, progress_text(job, n_done, left))

    advance(0)
    return advance


class _Lines:
    """Shows a job as lines, without a terminal."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._start_s = self._line_at_s = monotonic()
        if job.n_done < job.n:
            click.echo(str(job), err=True)

    def update(self, _share: float, _doing: str, text: str) -> None:
        """Write a line if the last one was at least LINE_EVERY_S ago."""
        now = monotonic()
        if now - self._line_at_s >= LINE_EVERY_S:
            self._line_at_s = now
            click.echo(f"visavis: {text}", err=True)

    def end(self) -> None:
        """Write the duration of the job, if `update` wrote any line."""
        if self._line_at_s > self._start_s:
            took = duration(monotonic() - self._start_s)
            click.echo(f"visavis: {self._job.n - self._job.n_done:,} {self._job.unit} in {took}", err=True)
