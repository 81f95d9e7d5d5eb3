"""A CSV file that grows by a row at a time and survives an end at any moment; the first column is the step."""

import csv
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Self

from embedder import replace_file

from ..errors import TrainingError


class CsvTable:
    """Rows of numbers below a header, each written through to the file at once.

    With `resumed_from` the rows up to that step are kept, and those beyond it, or written by half, are dropped. Raises
    TrainingError where the file cannot be written, or has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str], resumed_from: int | None = None) -> None:
        self._path, self._header, self._n_columns = path, _line(columns), len(columns)
        kept = [] if resumed_from is None else self._rows_until(resumed_from)
        try:
            replace_file(path, "".join([self._header, *kept]).encode())
            self._file = path.open("ab", buffering=0)  # nothing is kept back that could fail when it is closed
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, cells: Sequence[str]) -> None:
        """Write a row. Raises TrainingError."""
        try:
            row = _line(cells).encode()
            while row:
                row = row[self._file.write(row) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _rows_until(self, step: int) -> list[str]:
        lines = _whole_lines(self._path)
        if lines and lines[0] != self._header:
            raise TrainingError(f"{self._path.name} has other columns than this run writes; begin the run anew")
        return [line for line in lines[1:] if line.count(",") == self._n_columns - 1 and _step(line) <= step]

    def _unwritable(self, error: OSError) -> TrainingError:
        why = error.strerror or os.strerror(error.errno or 0)
        return TrainingError(f"{self._path}: cannot be written: {why}; make room, then go on with --resume")


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows, by the names of the columns; none where there is no file."""
    return list(csv.DictReader(_whole_lines(path)))


def cell(value: float | None) -> str:
    """Write a number to six digits; nothing where there is none."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, int) else f"{value:.6g}"


def _line(cells: Sequence[str]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _whole_lines(path: Path) -> list[str]:
    """Return the lines that end as they should; the last may have been cut short when the run was."""
    if not path.exists():
        return []
    lines = path.read_bytes().decode("utf-8", "replace").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _step(row: str) -> float:
    first = row.split(",", 1)[0]
    return int(first) if first.isdecimal() else float("inf")
