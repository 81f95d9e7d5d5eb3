"""Where the photos lie and whom they show: a folder or a CSV file; files may be broken, too large or gone."""

import csv
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from embedder import ImageTooLarge, Job, Progress, image_file, sha256_of

from ..errors import DataError
from ..evaluation.parallel import on_every_core, one_core_threads
from ..evaluation.protocols.folders import read_identities
from ..evaluation.protocols.protocol import LabeledPhoto, read_text

_SEPARATORS = re.compile(r"[\s_\-]+")


def same_name(identity: str) -> str:
    """Return what all ways of writing a name share: Ann_Lee, ann-lee and "Ann  Lee" are one person."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", identity).casefold()).strip()


def shown(name: str) -> str:
    """Return a name fit for print: bytes that are no UTF-8, and control characters, as escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


NOT_READ = "file_unreadable"  # the code of a file that the disk does not give


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """A photo that gave no chip, and why."""

    name: str
    code: str  # of an error, as in no_face; or of a reason to leave it out, as in duplicate
    words: str
    other: str | None = None  # the photo that it doubles


@dataclass(frozen=True, slots=True)
class DigestedPhoto:
    """A photo that can be read."""

    photo: LabeledPhoto
    digest: str  # of the file's bytes: "sha256:..."


def digests_of(photos: tuple[LabeledPhoto, ...], progress: Progress) -> list[DigestedPhoto | SkippedPhoto]:
    """Read every photo once, on every core."""
    with one_core_threads() as pool, progress(Job("reading", len(photos))) as advance:
        return list(on_every_core(_known, photos, pool, advance))


def read_photo(photo: LabeledPhoto) -> bytes | SkippedPhoto:
    """Return a file's bytes."""
    try:
        return image_file(photo.path)
    except ImageTooLarge as error:
        return SkippedPhoto(photo.name, error.code, str(error))
    except OSError as error:
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error.strerror or error}")
    except ValueError as error:  # a name that no file can have
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error}")


def _known(photo: LabeledPhoto) -> DigestedPhoto | SkippedPhoto:
    data = read_photo(photo)
    return data if isinstance(data, SkippedPhoto) else DigestedPhoto(photo, sha256_of(data))


COLUMNS = ("image", "identity")


@dataclass(frozen=True, slots=True)
class PhotoSource:
    """Photos by identity."""

    folder: Path  # absolute; the photos' names start from it
    photos: tuple[LabeledPhoto, ...]  # each file once, in the order of its name


def read_source(given: Path, images: Path | None = None) -> PhotoSource:
    """Read a folder `DIR/<identity>/<photo>`, or a CSV of image,identity.

    Paths in the CSV start from `images`, or else from its own folder. Hidden files are passed over. Raises
    ProtocolError where a folder's layout leaves open who a person is, DataError where the CSV does not say it.
    """
    if given.is_file():
        return _read_csv(given, given.parent if images is None else images)
    return PhotoSource(given.resolve(), read_identities(given).photos)


def _read_csv(file: Path, folder: Path) -> PhotoSource:
    try:
        people = _people(file, os.path.abspath(folder))  # noqa: PTH100 - a folder behind a link keeps its name
    except csv.Error as error:
        raise DataError(f"{file}: is no CSV file: {error}") from error
    if len(set(people.values())) < 2:  # noqa: PLR2004 - telling people apart takes two
        raise DataError(f"{file}: two persons are needed, and it names {len(set(people.values()))}")
    photos = tuple(LabeledPhoto(folder / name, name, identity) for name, identity in sorted(people.items()))
    return PhotoSource(folder.resolve(), photos)


def _people(file: Path, folder: str) -> dict[str, str]:
    people: dict[str, str] = {}
    for line, image, identity in _rows(file):
        name = os.path.relpath(os.path.join(folder, image), folder)  # noqa: PTH118 - of a name, not yet a path
        if people.setdefault(name, identity) != identity:
            raise DataError(
                f"{file}, line {line}: gives {image} to {identity}, an earlier line to {people[name]}; "
                "correct the one that is wrong"
            )
    return people


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line number, image, identity."""
    reader = csv.reader(StringIO(read_text(file), newline=""))
    header = [name.strip() for name in next(reader, [])]
    if sorted(header) != sorted(COLUMNS):
        raise DataError(f"{file}, line 1: should name the columns {','.join(COLUMNS)}, not {','.join(header)[:80]!r}")
    for fields in filter(None, reader):
        values = dict(zip(header, (field.strip() for field in fields), strict=False))
        if len(fields) != len(header) or not all(values.values()):
            raise DataError(f"{file}, line {reader.line_num}: should name one image and one identity")
        yield reader.line_num, values["image"], values["identity"]
