"""List the photos in the folders and files that the user names, in a reproducible order, and read them."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import ImageTooLarge, VisavisError
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

    Only the names in the current folder and its parents are in memory. Links are followed, and a folder that contains
    itself is entered once.
    """

    def __init__(self, given: Sequence[Path]) -> None:
        self._given = given
        self.n_others = 0  # files passed so far that are not photos by name; a hidden file or folder counts as one

    def __iter__(self) -> Iterator[str]:
        """Yield the names, in the same order every time. Raises PhotoListError."""
        start, self.n_others = start_of(self._given), 0
        for path in self._given:
            if not path.is_dir():
                yield _file(path)
            else:
                prefix = "" if path == start else os.path.join(path, "")  # noqa: PTH118 - of a name
                yield from self._inside(path, prefix, ())

    def _inside(self, folder: str | Path, prefix: str, within: tuple[tuple[int, int], ...]) -> Iterator[str]:
        entries, itself = _listed(folder)
        if itself in within:
            return
        for entry in entries:
            if entry.name.startswith("."):
                self.n_others += 1
            elif entry.is_dir():
                yield from self._inside(entry.path, f"{prefix}{entry.name}/", (*within, itself))
            elif is_named_as_photo(entry.name):
                yield prefix + entry.name
            else:
                self.n_others += 1


def _file(path: Path) -> str:
    if not path.exists():
        raise PhotoListError(f"{path}: no such file or folder")
    return str(path)


def _listed(folder: str | Path) -> tuple[list[os.DirEntry[str]], tuple[int, int]]:
    """The entries of a folder by name, and the numbers by which it is recognised."""
    try:
        facts = os.stat(folder)  # noqa: PTH116 - there are many names; a Path for each would cost more than the rest
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise PhotoListError(
            f"{folder}: cannot be listed: {error.strerror}; change its permissions, or move it elsewhere"
        ) from error
    return entries, (facts.st_dev, facts.st_ino)


def image_file(path: Path) -> bytes:
    """Read a regular file within the size limit; reading a pipe could block forever. Raises OSError, ImageTooLarge."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError("not a regular file")
    if facts.st_size > Limits().max_bytes:
        raise ImageTooLarge(facts.st_size, Limits().max_bytes, "bytes")
    return path.read_bytes()
