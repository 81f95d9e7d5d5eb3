"""How far a long piece of work is: a bar on a terminal, one line where stderr goes elsewhere, nothing on stdout."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

Advance = Callable[[int], None]  # so many photos more are done
Progress = Callable[[int], AbstractContextManager[Advance]]  # of so many photos in all


@contextmanager
def no_progress(_n_photos: int) -> Iterator[Advance]:
    """Tell nobody."""
    yield lambda _n_more: None


@contextmanager
def show_progress(n_photos: int) -> Iterator[Advance]:
    """Tell of photos that are embedded, on stderr."""
    with click.progressbar(length=n_photos, label=f"embedding {n_photos:,} photos", file=sys.stderr) as bar:
        yield bar.update
