"""A folder with one folder per person, `DIR/<identity>/<image>`, compared all against all."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from embedder import is_folder, is_named_as_photo

from .protocol import LabeledPhoto, Protocol, ProtocolError

SHAPE = "the photos of each person must be in a separate folder, DIR/<person>/<photo>"


def read_identities(folder: Path) -> Protocol:
    """Find the photos of every identity, by suffix; other files are counted, a hidden file or folder as one.

    A link to a person's folder that was read already is counted as another file: it would give that person two names.

    Raises ProtocolError for a photo outside of a person's folder, or a folder inside of one, because the person would
    be ambiguous.
    """
    found = _Found()
    for entry in sorted(found.entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)):
        found.add(entry)
    photos = sorted(found.photos, key=lambda photo: photo.name)
    n_identities = len({photo.identity for photo in photos})
    if n_identities < 2:  # noqa: PLR2004 - a comparison needs two
        raise ProtocolError(f"{folder}: two persons are needed, but photos of {n_identities} were found; {SHAPE}")
    return Protocol(folder.resolve().name, tuple(photos), None, "largest", found.n_others)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def people_of(protocol: Protocol) -> Protocol:
    """Return a protocol with the same photos, compared all against all."""
    return replace(protocol, pairs=None)


@dataclass(slots=True)
class _Found:
    """The photos found so far, and the number of other files."""

    photos: list[LabeledPhoto] = field(default_factory=list)
    n_others: int = 0
    _read: set[tuple[int, int]] = field(default_factory=set)  # folders of people, by device and inode

    def add(self, entry: os.DirEntry[str]) -> None:
        """Add the photos of a person, or count a file beside the people."""
        if is_folder(entry):
            self._add_person(entry)
        elif is_named_as_photo(entry.name):
            raise ProtocolError(f"{entry.path}: is not in a person's folder; {SHAPE}")
        else:
            self.n_others += 1

    def _add_person(self, entry: os.DirEntry[str]) -> None:
        facts = entry.stat()
        if (facts.st_dev, facts.st_ino) in self._read:
            self.n_others += 1
            return
        self._read.add((facts.st_dev, facts.st_ino))
        for each in self.entries(entry):
            self._add_of(entry.name, each)

    def _add_of(self, identity: str, entry: os.DirEntry[str]) -> None:
        if is_folder(entry):
            raise ProtocolError(f"{entry.path}: is a folder in a person's folder; {SHAPE}")
        if is_named_as_photo(entry.name) and _is_file(entry):
            self.photos.append(LabeledPhoto(Path(entry.path), f"{identity}/{entry.name}", identity))
        else:
            self.n_others += 1

    def entries(self, folder: os.PathLike[str]) -> list[os.DirEntry[str]]:
        """List a folder, without what is hidden."""
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            raise ProtocolError(f"{os.fspath(folder)}: cannot be read: {error.strerror}") from error
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        self.n_others += len(entries) - len(shown)
        return shown
