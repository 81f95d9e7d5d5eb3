"""The group of each photo, as the user's file says it. Nothing here looks at a face to guess one."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from .protocols.files import read_text
from .protocols.protocol import Indices, Protocol, ProtocolError

KEYS = ("image", "identity")
MAX_GROUPS = 20  # every two of them fill a matrix, and a larger one cannot be read
NO_GROUP = -1


@dataclass(frozen=True, slots=True, eq=False)
class PhotoGroups:
    """Which group each photo is in."""

    names: tuple[str, ...]  # (g,) in alphabetical order
    of_photos: Indices  # (n,) positions among the names; NO_GROUP where the file does not speak of the photo


def read_photo_groups(file: Path, protocol: Protocol) -> PhotoGroups:
    """Read a CSV of `image,group` (photos named as in the protocol) or `identity,group`. Raises ProtocolError."""
    try:
        rows = list(_rows(file))
    except csv.Error as error:
        raise ProtocolError(f"{file}: is no CSV file: {error}") from error
    key = _key(rows[0][1] if rows else [], file)
    called = [photo.name if key == "image" else photo.identity for photo in protocol.photos]
    labels = _labels(rows[1:], file, set(called))
    names = tuple(sorted(set(labels.values())))
    if not 1 <= len(names) <= MAX_GROUPS:
        raise ProtocolError(f"{file}: names {len(names)} groups; it should name between 1 and {MAX_GROUPS}")
    position = {name: k for k, name in enumerate(names)}
    of_photos = [position[labels[name]] if name in labels else NO_GROUP for name in called]
    return PhotoGroups(names, np.array(of_photos, np.int32))


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields; the name first, in whichever order the columns stand."""
    reader = csv.reader(StringIO(read_text(file), newline=""))
    is_turned = False
    for fields in reader:
        values = [field.strip() for field in fields]
        is_turned |= reader.line_num == 1 and values[:1] == ["group"]
        if values:
            yield reader.line_num, values[::-1] if is_turned else values


def _key(header: list[str], file: Path) -> str:
    """Return what the file goes by."""
    if len(header) != 2 or header[0] not in KEYS or header[1] != "group":  # noqa: PLR2004 - a name and a group
        raise ProtocolError(f"{file}, line 1: should be image,group or identity,group, not {','.join(header)[:80]!r}")
    return header[0]


def _labels(rows: list[tuple[int, list[str]]], file: Path, known: set[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for line, fields in rows:
        if len(fields) != 2 or not all(fields):  # noqa: PLR2004 - a name and a group
            raise ProtocolError(f"{file}, line {line}: should be a name and a group, separated by a comma")
        name, group = fields
        if name not in known:
            like = f"a name here is, for instance, {min(known)!r}"
            raise ProtocolError(f"{file}, line {line}: {name[:80]!r} is not in this evaluation; {like}")
        if labels.setdefault(name, group) != group:
            raise ProtocolError(f"{file}, line {line}: puts {name!r} into a second group; keep one of the two lines")
    return labels
