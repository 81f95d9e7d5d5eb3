"""The folder that a bulk run writes: the protocol, and one on this machine. One on an object store is in `stores`."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ..errors import VisavisError
from ..files import PrivateFiles, open_regular_file, read_regular_file


class BulkError(VisavisError):
    """A bulk run cannot start or resume; the message states the remedy. Unusable photos are listed instead."""

    code = "bulk_error"


WRITER_FILE = "_writer"  # on an object store: the mark of the run that writes


class OutputFolder(Protocol):
    """Files by name, each of them written whole or not at all. Its text is its address, for messages."""

    def names(self) -> set[str]:
        """The names of all files in it; none if it does not exist yet. Raises BulkError."""

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name, or anything else."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file to read it from its start to its end. Raises OSError."""

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a whole file. Raises OSError, also if it has more than `max_bytes`."""

    def new(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file to write it; it replaces an older one only when the context ends well. Raises BulkError."""

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file. Raises BulkError."""

    def remove(self, name: str) -> None:
        """Remove a file, if there is one. Raises BulkError."""

    def sole_use(self) -> AbstractContextManager[None]:
        """Create the folder if it is missing, and keep others from writing to it. Raises BulkError."""


FILES = PrivateFiles(BulkError)


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A private folder on this machine. Links in it are not followed, and only one process at a time writes to it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> set[str]:
        """The names of all files in it; none if it does not exist yet. Raises BulkError."""
        try:
            return {each.name for each in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise BulkError(f"{self}: cannot be used: {error.strerror}; choose another --out") from error

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name, or anything else."""
        return os.path.lexists(self.path / name)

    def open(self, name: str) -> IO[bytes]:
        """Open a regular file. Raises OSError."""
        return open_regular_file(self.path / name)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a regular file. Raises OSError."""
        return read_regular_file(self.path / name, max_bytes)

    @contextmanager
    def new(self, name: str) -> Iterator[IO[bytes]]:
        """Open a private file that replaces an older one at the end. Raises BulkError."""
        with FILES.new(self.path / name) as file:
            yield file

    def write(self, name: str, content: bytes) -> None:
        """Write a private file. Raises BulkError."""
        FILES.write(self.path / name, content)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one. Raises BulkError."""
        FILES.remove(self.path / name)

    def link(self, other: "LocalFolder", name: str) -> None:
        """Link a file of another folder where the file system can, else copy it. Raises BulkError."""
        FILES.link(other.path / name, self.path / name)

    def sole_use(self) -> AbstractContextManager[None]:
        """Create the folder if it is missing, and lock it against other processes. Raises BulkError."""
        return FILES.sole_use(self.path)
