"""Files that only their owner may read, written whole or not at all: what is kept here shows faces."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DataError

UNFINISHED = ".part"  # at the end of the name of a file that is being written


def write_private(path: Path, content: bytes) -> None:
    """Write a file that takes the place of an older one when it is whole. Raises DataError."""
    part = path.with_name(path.name + UNFINISHED)
    with _trouble_told(path):
        try:
            _write(part, content)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Make a private folder where there is none, and let no second process work in it. Raises DataError."""
    with _trouble_told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)  # and with it goes the lock


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"{folder}: another process works in it at this moment; wait for its end") from None
    except OSError:
        return  # a file system without locks: two at once would do the same work twice


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _trouble_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written: {error.strerror}; make room or give another --out, and run it again: "
            "what is done already is kept"
        ) from error
