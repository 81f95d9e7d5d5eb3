"""How far a run is: a bar on a terminal, a line twice a minute where stderr goes elsewhere, nothing on stdout."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LINE_EVERY_S = 30
REFRESH_EVERY_S = 0.5
RATE_OVER_S = 60  # so that the time left follows when photos become larger

Advance = Callable[[int], None]  # so many photos more are done
Telling = Callable[[int, int], AbstractContextManager[Advance]]  # of so many photos in all, so many of them done before


class Pace:
    """How many photos a second of late, and how long the rest takes at that."""

    def __init__(self, n_photos: int, n_done: int, clock: Callable[[], float] = monotonic) -> None:
        self._n_photos, self._clock = n_photos, clock
        self._marks = [(clock(), n_done)]  # the last ones, RATE_OVER_S and one more
        self.n_done = n_done

    def advance(self, n_more: int) -> None:
        """Take note of photos that are done."""
        self.n_done += n_more
        now = self._clock()
        self._marks.append((now, self.n_done))
        while len(self._marks) > 2 and now - self._marks[1][0] >= RATE_OVER_S:  # noqa: PLR2004 - a rate takes two
            self._marks.pop(0)

    @property
    def photos_s(self) -> float:
        """Photos a second; 0 before the first."""
        (begin, n_then), (end, n_now) = self._marks[0], self._marks[-1]
        return (n_now - n_then) / (end - begin) if end > begin else 0.0

    def __str__(self) -> str:
        told = f"{self.n_done:,} of {self._n_photos:,} photos"
        if self.photos_s == 0:
            return told
        left_s = (self._n_photos - self.n_done) / self.photos_s
        return f"{told}, {self.photos_s:,.1f} photos/s, {duration(left_s)} left"


def no_telling(_n_photos: int, _n_done: int) -> AbstractContextManager[Advance]:
    """Tell nobody."""
    return _silence()


@contextmanager
def told_on_stderr(n_photos: int, n_done: int) -> Iterator[Advance]:
    """Tell of a run as fits what stderr is."""
    console, pace = Console(stderr=True), Pace(n_photos, n_done)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _every(LINE_EVERY_S, pace, lambda: click.echo(f"visavis: {pace}", err=True))
        return
    columns = BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, auto_refresh=False, redirect_stdout=False) as progress:
        task = progress.add_task(str(pace), total=n_photos, completed=n_done)

        def draw() -> None:
            progress.update(task, completed=pace.n_done, description=str(pace), refresh=True)

        draw()
        yield _every(REFRESH_EVERY_S, pace, draw)
        draw()


def duration(seconds: float) -> str:
    """Say how long, in the two units that matter."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    units = [(days, "d"), (h, "h"), (m, "min"), (s, "s")]
    first = next((place for place, (number, _) in enumerate(units) if number), len(units) - 1)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2])


@contextmanager
def _silence() -> Iterator[Advance]:
    yield lambda _n_more: None


def _every(seconds: float, pace: Pace, tell: Callable[[], object]) -> Advance:
    told_at = monotonic()

    def advance(n_more: int) -> None:
        nonlocal told_at
        pace.advance(n_more)
        if monotonic() - told_at >= seconds:
            told_at = monotonic()
            tell()

    return advance
