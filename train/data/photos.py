"""Photos and their identities, from a folder or a CSV file; unreadable files are reported, not raised."""

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
    """Normalise a name, so that Ann_Lee, ann-lee and "Ann  Lee" are one person."""
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", identity).casefold()).strip()


def shown(name: str) -> str:
    """Make a name printable: invalid UTF-8 and control characters become escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


NOT_READ = "file_unreadable"  # the code of an unreadable file


@dataclass(frozen=True, slots=True)
class SkippedPhoto:
    """A photo without a chip, and the reason."""

    name: str
    code: str  # of an error, such as no_face, or of a reason to leave it out, such as duplicate
    words: str
    other: str | None = None  # the photo that it duplicates


@dataclass(frozen=True, slots=True)
class DigestedPhoto:
    """A readable photo with its digest."""

    photo: LabeledPhoto
    digest: str  # of the file's bytes: "sha256:..."


def digests_of(photos: tuple[LabeledPhoto, ...], progress: Progress) -> list[DigestedPhoto | SkippedPhoto]:
    """Read and digest every photo, on all cores."""
    with one_core_threads() as pool, progress(Job("reading", len(photos))) as advance:
        return list(on_every_core(_known, photos, pool, advance))


def read_photo(photo: LabeledPhoto) -> bytes | SkippedPhoto:
    """Return a file's bytes, or why it cannot be read."""
    try:
        return image_file(photo.path)
    except ImageTooLarge as error:
        return SkippedPhoto(photo.name, error.code, str(error))
    except OSError as error:
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error.strerror or error}")
    except ValueError as error:  # not a valid file name
        return SkippedPhoto(photo.name, NOT_READ, f"the file cannot be read: {error}")


def _known(photo: LabeledPhoto) -> DigestedPhoto | SkippedPhoto:
    data = read_photo(photo)
    return data if isinstance(data, SkippedPhoto) else DigestedPhoto(photo, sha256_of(data))


COLUMNS = ("image", "identity")


@dataclass(frozen=True, slots=True)
class PhotoSource:
    """Photos by identity."""

    folder: Path  # absolute; the photos' names are relative to it
    photos: tuple[LabeledPhoto, ...]  # each file once, ordered by name
    n_other_files: int = 0  # in the folder; not photos by name


def read_source(given: Path, images: Path | None = None) -> PhotoSource:
    """Read a folder `DIR/<identity>/<photo>`, or a CSV of image,identity.

    Paths in the CSV are relative to `images`, or else to its own folder. Hidden files are ignored. Raises ProtocolError
    if the layout of the folder is ambiguous, and DataError if the CSV is invalid.
    """
    if given.is_file():
        return _read_csv(given, given.parent if images is None else images)
    found = read_identities(given)
    return PhotoSource(given.resolve(), found.photos, found.n_other_files)


def _read_csv(file: Path, folder: Path) -> PhotoSource:
    try:
        people = _people(file, os.path.abspath(folder))  # noqa: PTH100 - symbolic links are not resolved
    except csv.Error as error:
        raise DataError(f"{file}: is not a CSV file: {error}") from error
    if len(set(people.values())) < 2:  # noqa: PLR2004 - a comparison needs two
        raise DataError(f"{file}: two persons are needed, but it names {len(set(people.values()))}")
    photos = tuple(LabeledPhoto(folder / name, name, identity) for name, identity in sorted(people.items()))
    return PhotoSource(folder.resolve(), photos)


def _people(file: Path, folder: str) -> dict[str, str]:
    people: dict[str, str] = {}
    for line, image, identity in _rows(file):
        name = os.path.relpath(os.path.join(folder, image), folder)  # noqa: PTH118 - of a name, not yet a path
        if people.setdefault(name, identity) != identity:
            raise DataError(
                f"{file}, line {line}: assigns {image} to {identity}, an earlier line to {people[name]}; "
                "correct the wrong line"
            )
    return people


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, image and identity."""
    reader = csv.reader(StringIO(read_text(file), newline=""))
    header = [name.strip() for name in next(reader, [])]
    if sorted(header) != sorted(COLUMNS):
        raise DataError(f"{file}, line 1: should name the columns {','.join(COLUMNS)}, not {','.join(header)[:80]!r}")
    for fields in filter(None, reader):
        values = dict(zip(header, (field.strip() for field in fields), strict=False))
        if len(fields) != len(header) or not all(values.values()):
            raise DataError(f"{file}, line {reader.line_num}: should name one image and one identity")
        yield reader.line_num, values["image"], values["identity"]
