"""List the photos in the folders and files that the user names, in a reproducible order."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import VisavisError
from .image_formats import is_named_as_photo


class PhotoListError(VisavisError):
    """A file or folder of photos cannot be found or listed; the message names it."""

    code = "photo_list_error"


def start_of(given: Sequence[Path]) -> Path:
    """The folder to which names are relative: the only argument if it is a folder, else the working folder."""
    return given[0] if len(given) == 1 and given[0].is_dir() else Path()


def photos_in(given: Sequence[Path]) -> Iterator[str]:
    """Yield the names of photos in folders, by suffix, and of all files given directly, whatever their suffix.

    Only the names in the current folder and its parents are in memory. Hidden files and folders are skipped. Links are
    followed, and a folder that contains itself is entered once. Raises PhotoListError.
    """
    start = start_of(given)
    for path in given:
        if not path.is_dir():
            yield _file(path)
        else:
            yield from _inside(path, "" if path == start else os.path.join(path, ""), ())  # noqa: PTH118 - of a name


def _file(path: Path) -> str:
    if not path.exists():
        raise PhotoListError(f"{path}: no such file or folder")
    return str(path)


def _inside(folder: str | Path, prefix: str, within: tuple[tuple[int, int], ...]) -> Iterator[str]:
    try:
        facts = os.stat(folder)  # noqa: PTH116 - there are many names; a Path for each would cost more than the rest
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise PhotoListError(
            f"{folder}: cannot be listed: {error.strerror}; change its permissions, or move it elsewhere"
        ) from error
    itself = facts.st_dev, facts.st_ino
    if itself in within:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _inside(entry.path, f"{prefix}{entry.name}/", (*within, itself))
        elif is_named_as_photo(entry.name):
            yield prefix + entry.name
