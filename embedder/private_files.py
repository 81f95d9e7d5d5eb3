"""Files that only their owner may read, whole or not there at all, also after a loss of power: they tell of faces."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import VisavisError


@dataclass(frozen=True, slots=True)
class PrivateFiles:
    """Writes them; what goes wrong is told by an error of the kind that the work knows."""

    error: type[VisavisError]

    @contextmanager
    def new(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file as `replacing` does. Raises `error`."""
        with self._trouble_told(path), replacing(path) as file:
            yield file

    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file. Raises `error`."""
        with self.new(path) as file:
            file.write(content)

    @contextmanager
    def sole_use(self, folder: Path) -> Iterator[None]:
        """Make a private folder where there is none, and let no second process work in it. Raises `error`."""
        with self._trouble_told(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            handle = os.open(folder, os.O_RDONLY)
        try:
            self._lock(handle, folder)
            yield
        finally:
            os.close(handle)  # and with it goes the lock

    def _lock(self, handle: int, folder: Path) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self.error(f"{folder}: another process works in it at this moment; wait for its end") from None
        except OSError:
            return  # a file system without locks: two at once would do the same work twice

    @contextmanager
    def _trouble_told(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.error(
                f"{path}: cannot be written: {error.strerror}; make room or give another --out, and run it again: "
                "what is done already is kept"
            ) from error


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name, and takes the place of an older one, once it is whole. Raises OSError.

    Two that write a file of one name at the same time spoil each other's.
    """
    try:
        with os.fdopen(os.open(unfinished(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished(path).replace(path)
    except BaseException:
        unfinished(path).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file as `replacing` does. Raises OSError."""
    with replacing(path) as file:
        file.write(content)


def unfinished(path: Path) -> Path:
    """Where a file lies while it is being written."""
    return path.with_name("." + path.name)


def _sync(folder: Path) -> None:
    """Have the disk keep the new name as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
