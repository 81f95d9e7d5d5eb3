"""Where the photos of a bulk run come from: their names, listed once by the run, and their bytes, read by workers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ..photo_files import PhotoFiles, image_file, start_of

ReadPhoto = Callable[[], bytes]  # raises SampleError or OSError if the photo cannot be read


def entry(name: str, place: str) -> str:
    """An entry of a list of photos: a name, and where the photo lies, if its name does not say it."""
    return f"{name}\0{place}"


def name_of(entry: str) -> str:
    """The name of the photo of an entry."""
    return entry.rpartition("\0")[0] or entry


class PhotoNames(Protocol):
    """The entries of the photos of a source, in the same order every time. Most entries are names."""

    n_others: int  # files passed so far that are not photos by name

    def __iter__(self) -> Iterator[str]:
        """Yield the entries. Raises VisavisError if they cannot be listed."""


class PhotoSource(Protocol):
    """Photos by name. A source is pickled: workers in other processes, or on other machines, read the photos."""

    def names(self) -> PhotoNames:
        """List the photos."""

    def read(self, entries: Sequence[str]) -> Iterator[ReadPhoto]:
        """Yield a function for each photo that reads it; call it before the next one is taken."""


@dataclass(frozen=True, slots=True)
class LocalPhotos:
    """Folders and files that the user names."""

    given: tuple[Path, ...]
    start: Path  # absolute: a worker may have another working folder

    @classmethod
    def of(cls, given: Sequence[Path]) -> "LocalPhotos":
        """Take folders and files as they are given."""
        return cls(tuple(given), start_of(given).absolute())

    def names(self) -> PhotoFiles:
        """List the photos in the folders, and all files given directly."""
        return PhotoFiles(self.given)

    def read(self, entries: Sequence[str]) -> Iterator[ReadPhoto]:
        """Read regular files, within the limit of size."""
        return (partial(image_file, self.start / name) for name in entries)
