"""A folder with one folder per person, `DIR/<identity>/<image>`, compared all against all."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from embedder import is_named_as_photo

from .protocol import LabeledPhoto, Protocol, ProtocolError

SHAPE = "the photos of each person must be in a separate folder, DIR/<person>/<photo>"


def read_identities(folder: Path) -> Protocol:
    """Find the photos of every identity, by suffix; other files, hidden files and empty folders are ignored.

    Raises ProtocolError for a photo outside of a person's folder, or a folder inside of one, because the person would
    be ambiguous.
    """
    photos = sorted(_photos(folder), key=lambda photo: photo.name)
    n_identities = len({photo.identity for photo in photos})
    if n_identities < 2:  # noqa: PLR2004 - a comparison needs two
        raise ProtocolError(f"{folder}: two persons are needed, but photos of {n_identities} were found; {SHAPE}")
    return Protocol(folder.resolve().name, tuple(photos), None, "largest")


def people_of(protocol: Protocol) -> Protocol:
    """Return a protocol with the same photos, compared all against all."""
    return replace(protocol, pairs=None)


def _photos(folder: Path) -> Iterator[LabeledPhoto]:
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _photos_of(entry)
        elif is_named_as_photo(entry.name):
            raise ProtocolError(f"{entry.path}: is not in a person's folder; {SHAPE}")


def _photos_of(identity: os.DirEntry[str]) -> Iterator[LabeledPhoto]:
    for entry in _entries(identity):
        if entry.is_dir():
            raise ProtocolError(f"{entry.path}: is a folder in a person's folder; {SHAPE}")
        if is_named_as_photo(entry.name) and entry.is_file():
            yield LabeledPhoto(Path(entry.path), f"{identity.name}/{entry.name}", identity.name)


def _entries(folder: os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise ProtocolError(f"{os.fspath(folder)}: cannot be read: {error.strerror}") from error
