"""List the photos in the folders and files that the user names, in a reproducible order, and read them."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import ImageTooLarge, VisavisError, printable
from .files import read_regular_file
from .image import Limits
from .image_formats import is_named_as_photo


class PhotoListError(VisavisError):
    """A file or folder of photos cannot be found or listed; the message names it."""

    code = "photo_list_error"


def start_of(given: Sequence[Path]) -> Path:
    """The folder to which names are relative: the only argument if it is a folder, else the working folder."""
    return given[0] if len(given) == 1 and given[0].is_dir() else Path()


class PhotoFiles:
    """The names of photos in folders, by suffix, and of all files given directly, whatever their suffix.

    Only the names in the current folder and its parents are in memory. Links are followed, and each folder is entered
    once, by whichever name comes first; links between folders would otherwise multiply without end.
    """

    def __init__(self, given: Sequence[Path], *, with_prefix: bool = False) -> None:
        """Take folders and files; `with_prefix`: names begin with the folder's path, even if it is the only one."""
        self._given, self._start = given, None if with_prefix else start_of(given)
        # Files passed so far that are not photos by name. A hidden file or folder counts as one, and so does a folder
        # that was entered before, by another name.
        self.n_others = 0
        self._entered: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[str]:
        """Yield the names, in the same order every time. Raises PhotoListError."""
        self.n_others, self._entered = 0, set()
        for path in self._given:
            if not path.is_dir():
                yield _file(path)
            else:
                prefix = "" if path == self._start else os.path.join(path, "")  # noqa: PTH118 - of a name
                yield from self._inside(path, prefix)

    def _inside(self, folder: str | Path, prefix: str) -> Iterator[str]:
        entries, itself = _listed(folder)
        if itself in self._entered:
            self.n_others += 1
            return
        self._entered.add(itself)
        for entry in entries:
            if entry.name.startswith("."):
                self.n_others += 1
            elif is_folder(entry):
                yield from self._inside(entry.path, f"{prefix}{entry.name}/")
            elif is_named_as_photo(entry.name):
                yield prefix + entry.name
            else:
                self.n_others += 1


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one. A link to itself is neither folder nor file."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _file(path: Path) -> str:
    if not path.exists():
        raise PhotoListError(f"{printable(str(path))}: no such file or folder")
    return str(path)


def _listed(folder: str | Path) -> tuple[list[os.DirEntry[str]], tuple[int, int]]:
    """The entries of a folder by name, and the numbers by which it is recognised."""
    try:
        facts = os.stat(folder)  # noqa: PTH116 - there are many names; a Path for each would cost more than the rest
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise PhotoListError(
            f"{printable(str(folder))}: cannot be listed: {error.strerror}; change its permissions, or move it away"
        ) from error
    return entries, (facts.st_dev, facts.st_ino)


def image_file(path: Path) -> bytes:
    """Read a regular file within the size limit; reading a pipe could block forever. Raises OSError, ImageTooLarge."""
    max_bytes = Limits().max_bytes
    try:
        return read_regular_file(path, max_bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ImageTooLarge(path.stat().st_size, max_bytes, "bytes") from error
        raise
