"""Read files that others may have made, within bounds; write files atomically and durably, for their owner alone.

What is read must be a regular file. What is written contains data of faces.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from .errors import VisavisError


def open_regular_file(path: str | os.PathLike[str], *, follow_links: bool = True) -> BinaryIO:
    """Open a file to read. Raises OSError with a strerror, also if it is not a regular file.

    The opening of a FIFO or of a device would block, or act on the device. Without `follow_links`, a link is not a
    regular file either; those among the folders of the path are always followed.
    """
    no_link = 0 if follow_links else os.O_NOFOLLOW
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | no_link)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def read_regular_file(path: str | os.PathLike[str], max_bytes: int, *, follow_links: bool = True) -> bytes:
    """Read a file as `open_regular_file` opens it. Raises OSError, also if it has more than `max_bytes`."""
    with open_regular_file(path, follow_links=follow_links) as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > max_bytes else file.read(size + 1)  # one more byte tells that it grows
    if max(size, len(data)) > max_bytes:
        raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes")
    return data


MAX_KEY_PARTS = 32  # of a dotted key in TOML: tomllib takes time that grows with the cube of their number
_TEXTS = re.compile(  # strings and comments, also without their end
    r'''"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)|'{3}.*?(?:'{3,5}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|#[^\n]*''', re.DOTALL
)
_NOT_IN_KEYS = re.compile(r"[^\w \t.-]")


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML in a time that grows with its length. Raises ValueError, or RecursionError for lists in lists."""
    longest = max(each.count(".") for each in _NOT_IN_KEYS.split(_TEXTS.sub("", text)))
    if longest >= MAX_KEY_PARTS:
        raise ValueError(f"a key has more than {MAX_KEY_PARTS} parts")
    return tomllib.loads(text)


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class PrivateFiles:
    """Writes private files; raises failures as `error`, the caller's error class."""

    error: type[VisavisError]

    @contextmanager
    def new(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file as `replacing` does. Raises `error`."""
        with self._raising(path), replacing(path) as file:
            yield file

    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file. Raises `error`."""
        with self.new(path) as file:
            file.write(content)

    def link(self, source: Path, path: Path) -> None:
        """Give a file another name as well, or copy it where that is not possible. Raises `error`."""
        with self._raising(path):
            if _is_linked(source, unfinished(path)):
                unfinished(path).replace(path)
                unfinished(path).unlink(missing_ok=True)  # it stays if `path` was a name of the same file already
                return
            with open_regular_file(source) as content, replacing(path) as file:
                shutil.copyfileobj(content, file)

    def remove(self, path: Path) -> None:
        """Remove a file, if there is one. Raises `error`."""
        with self._raising(path):
            path.unlink(missing_ok=True)

    @contextmanager
    def sole_use(self, folder: Path) -> Iterator[None]:
        """Create a private folder if it is missing, and lock it against other processes. Raises `error`."""
        with self._raising(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            handle = os.open(folder, os.O_RDONLY)
        try:
            self._lock(handle, folder)
            yield
        finally:
            os.close(handle)  # this also releases the lock

    def _lock(self, handle: int, folder: Path) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self.error(f"{folder}: another process is using it; wait until it ends") from None
        except OSError:
            return  # the file system has no locks; two processes would only do the same work twice

    @contextmanager
    def _raising(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self.error(
                f"{path}: cannot be written: {error.strerror}; free disk space or choose another --out, and run it "
                "again: completed work is kept"
            ) from error


def _is_linked(source: Path, path: Path) -> bool:
    """Whether a regular file now has a second name; not across file systems, and not if it belongs to others."""
    path.unlink(missing_ok=True)
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError:
        return False
    return not path.is_symlink()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name, replacing an older one, only when it is complete. Raises OSError.

    Links are never followed: one with the name of the file, or of the unfinished file, is itself replaced. Two
    concurrent writers of the same name corrupt each other's file.
    """
    if path.is_dir() and not path.is_symlink():  # `.` has no name that an unfinished file could be named after
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    unfinished(path).unlink(missing_ok=True)  # left by a process that was killed, or planted
    try:
        with os.fdopen(os.open(unfinished(path), _NEW_FILE, 0o600), "wb") as file:
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
    """The path of a file while it is being written."""
    return path.with_name("." + path.name)


def _sync(folder: Path) -> None:
    """Flush the new directory entry to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
