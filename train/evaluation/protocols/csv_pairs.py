"""Comparisons from a user's CSV file: probe, reference, and whether they show the same person.

Fields are separated by commas; if the first line has none, by tabs, or by any whitespace if no name contains any.
The file has no identities. Photos connected by genuine comparisons get one identity; every other photo gets its own.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from .protocol import LabeledPair, LabeledPhoto, Protocol, ProtocolError, pair_protocol, read_text

COLUMNS = ("probe", "reference", "same")
SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True)
class _Row:
    """One comparison, with the names of its photos."""

    line: int
    probe: str
    reference: str
    same: bool


def read_csv(csv_file: Path, images_dir: Path | None) -> Protocol:
    """Read comparisons; paths are relative to `images_dir`, or else to the file's folder. Raises ProtocolError."""
    folder = csv_file.parent if images_dir is None else images_dir
    try:
        rows = list(_rows(csv_file, os.path.normpath(folder)))
    except csv.Error as error:
        raise ProtocolError(f"{csv_file}: is not a CSV file: {error}") from error
    people = _people(rows)
    for row in rows:
        if not row.same and people[row.probe] == people[row.reference]:
            raise ProtocolError(
                f"{csv_file}, line {row.line}: {row.probe} and {row.reference} are labelled as two persons, "
                "but as one by other lines; correct the wrong line"
            )
    photos = {name: LabeledPhoto(folder / name, name, person) for name, person in people.items()}
    return pair_protocol(
        csv_file.name,
        folder,
        [LabeledPair(photos[row.probe], photos[row.reference], row.same) for row in rows],
        "largest",
    )


def _rows(csv_file: Path, folder: str) -> Iterator[_Row]:
    lines = _lines(read_text(csv_file))
    _, names = next(lines, (1, []))
    header = [name.strip() for name in names]
    if sorted(header) != sorted(COLUMNS):
        raise ProtocolError(
            f"{csv_file}, line 1: should name the columns {','.join(COLUMNS)}, not {','.join(header)!r}"
        )
    for line, fields in lines:
        if len(fields) != len(header):
            raise ProtocolError(
                f"{csv_file}, line {line}: has {len(fields)} fields, not {len(header)}; if a name contains blanks, "
                "separate the fields by commas in all lines"
            )
        values = {name: field.strip() for name, field in zip(header, fields, strict=True)}
        yield _row(values, f"{csv_file}, line {line}", line, folder)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that is not blank, with its number from 1."""
    first, *_ = text.split("\n", 1)
    if "," in first or not first.strip():
        reader = csv.reader(StringIO(text, newline=""))
        yield from ((reader.line_num, fields) for fields in reader if fields)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _split(line)


def _split(line: str) -> list[str]:
    """Split a line at tabs, so that names may contain blanks, if that gives all columns; else at all whitespace."""
    fields = line.strip().split("\t")
    return fields if len(fields) == len(COLUMNS) else line.split()


def _row(values: Mapping[str, str], place: str, line: int, folder: str) -> _Row:
    probe, reference = (_name(values[side], folder) for side in ("probe", "reference"))
    if not values["probe"] or not values["reference"] or probe == reference:
        raise ProtocolError(f"{place}: should name two photos, a probe and a reference")
    if values["same"].lower() not in SAME:
        raise ProtocolError(f"{place}: same should be 1 or 0 (or true, false, yes, no), not {values['same'][:80]!r}")
    return _Row(line, probe, reference, SAME[values["same"].lower()])


def _name(path: str, folder: str) -> str:
    """Normalise a path, so that each file has one name: relative to the folder if it is inside."""
    full = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118 - of a name, not yet a path
    return os.path.relpath(full, folder) if full.startswith(os.path.join(folder, "")) else full  # noqa: PTH118


def _people(rows: Iterable[_Row]) -> dict[str, str]:
    """Map each photo to its person, named after their first photo, by union-find over genuine comparisons."""
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while (upper := above.setdefault(name, name)) != name:
            above[name] = name = above[upper]
        return name

    for row in rows:
        first, second = sorted((root(row.probe), root(row.reference)))
        if row.same:
            above[second] = first
    return {name: root(name) for name in list(above)}
