"""How far `prepare` is: a bar on a terminal, one line where stderr goes elsewhere, nothing on stdout."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

from ..evaluation.progress import Advance

Telling = Callable[[str, int], AbstractContextManager[Advance]]  # what is done, with so many photos


@contextmanager
def no_telling(_work: str, _n_photos: int) -> Iterator[Advance]:
    """Tell nobody."""
    yield lambda _n_more: None


@contextmanager
def told_on_stderr(work: str, n_photos: int) -> Iterator[Advance]:
    """Tell of the work on so many photos, as in "finding faces in 1,000 photos"."""
    with click.progressbar(length=n_photos, label=f"{work} {n_photos:,} photos", file=sys.stderr) as bar:
        yield bar.update
