"""The logs of a run, steps.csv and validation.csv; every row is written at once, so a crash loses no rows.

Steps and seconds count from the run's start, including the parts before a resume.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Self

from embedder import read_regular_file, replace_file

from ..errors import TrainingError

MAX_BYTES = 2**30  # of a log; a row has some 100 bytes


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """Measures of a run after a step; None if not applicable to the loss, or not measured."""

    step: int  # completed steps
    seconds: float
    rate_faces_s: float
    loss: float
    parts: Mapping[str, float]  # the loss's terms by name; may lack terms of weight 0
    learning_rate: float
    gradient_norm: float | None = None  # before clipping
    active_share: float | None = None  # of triplets or pairs
    positive_distance: float | None = None  # mean, of two images of one person
    negative_distance: float | None = None  # mean, of two people
    effective_rank: float | None = None  # of the embeddings' channels
    least_variance: float | None = None  # over the channels


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """Error rates on people held out after a step."""

    step: int
    seconds: float
    eer: float
    fnmr_at_1_percent: float | None  # FNMR at FMR 1e-2; None: too few comparisons
    n_genuine: int
    n_impostor: int
    is_best: bool  # the lowest EER so far


class CsvTable:
    """A CSV file of numbers with a header; each row is written unbuffered.

    With `resumed_from`, rows up to that step are kept; later and incomplete rows are dropped. Raises TrainingError if
    the file cannot be written or has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str], resumed_from: int | None = None) -> None:
        self._path, self._header, self._n_columns = path, _line(columns), len(columns)
        kept = [] if resumed_from is None else self._rows_until(resumed_from)
        try:
            replace_file(path, "".join([self._header, *kept]).encode())
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._file = os.fdopen(handle, "ab", buffering=0)  # no buffer whose flush could fail on close
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
        """Close the file."""
        self._file.close()

    def _rows_until(self, step: int) -> list[str]:
        lines = _whole_lines(self._path)
        if lines and lines[0] != self._header:
            raise TrainingError(
                f"{self._path.name} has other columns than this run writes; start a new run in another --out"
            )
        return [line for line in lines[1:] if line.count(",") == self._n_columns - 1 and _step(line) <= step]

    def _unwritable(self, error: OSError) -> TrainingError:
        why = error.strerror or os.strerror(error.errno or 0)
        return TrainingError(f"{self._path}: cannot be written: {why}; free disk space, then resume with --resume")


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows as dictionaries by column; empty if there is no file."""
    return list(csv.DictReader(_whole_lines(path)))


def cell(value: float | None) -> str:
    """Format a number with six significant digits; None is an empty cell."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, int) else f"{value:.6g}"


def _line(cells: Sequence[str]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _whole_lines(path: Path) -> list[str]:
    """Return the complete lines; the last one may be incomplete after a crash."""
    try:
        lines = read_regular_file(path, MAX_BYTES).decode("utf-8", "replace").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror}; remove it, or start a new run") from error
    return [line for line in lines if line.endswith("\n")]


def _step(row: str) -> float:
    first = row.split(",", 1)[0]
    return int(first) if first.isdecimal() else float("inf")


STEPS, VALIDATION = "steps.csv", "validation.csv"
PART = "loss."  # prefix of a term's name
STEP_COLUMNS = tuple(field.name for field in fields(StepRecord) if field.name != "parts")
VALIDATION_COLUMNS = tuple(field.name for field in fields(ValidationRecord))


class RunLog:
    """Both tables, opened. `parts` are the names of the loss's terms; `resumed_from` is the step to resume from.

    Raises TrainingError if they cannot be written.
    """

    def __init__(self, folder: Path, parts: Sequence[str], resumed_from: int | None = None) -> None:
        self._parts = tuple(parts)
        columns = (*STEP_COLUMNS, *(PART + name for name in parts))
        self._steps = CsvTable(folder / STEPS, columns, resumed_from)
        self._validations = CsvTable(folder / VALIDATION, VALIDATION_COLUMNS, resumed_from)

    def step(self, record: StepRecord) -> None:
        """Log a step. Raises ValueError for a term that is not in `parts`."""
        if unknown := set(record.parts) - set(self._parts):
            raise ValueError(f"the log has no column for {', '.join(sorted(unknown))}, only for {self._parts}")
        known = [getattr(record, name) for name in STEP_COLUMNS]
        self._steps.add([cell(value) for value in (*known, *map(record.parts.get, self._parts))])

    def validation(self, record: ValidationRecord) -> None:
        """Log a validation."""
        self._validations.add([cell(getattr(record, name)) for name in VALIDATION_COLUMNS])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self._steps.close()
        self._validations.close()


def read_steps(folder: Path) -> tuple[StepRecord, ...]:
    """Read the logged steps, in their order."""
    return tuple(_as_step(row) for row in read_table(folder / STEPS))


def read_validations(folder: Path) -> tuple[ValidationRecord, ...]:
    """Read the logged validations, in the order of the steps."""
    return tuple(_as_validation(row) for row in read_table(folder / VALIDATION))


def _as_step(row: dict[str, str]) -> StepRecord:
    known = {name: float(text) for name, text in row.items() if text}
    parts = {name.removeprefix(PART): value for name, value in known.items() if name.startswith(PART)}
    measured = {name: value for name, value in known.items() if name in STEP_COLUMNS and name != "step"}
    return StepRecord(step=int(row["step"]), parts=parts, **measured)


def _as_validation(row: dict[str, str]) -> ValidationRecord:
    fnmr = row["fnmr_at_1_percent"]
    return ValidationRecord(
        step=int(row["step"]),
        seconds=float(row["seconds"]),
        eer=float(row["eer"]),
        fnmr_at_1_percent=float(fnmr) if fnmr else None,
        n_genuine=int(row["n_genuine"]),
        n_impostor=int(row["n_impostor"]),
        is_best=row["is_best"] == "1",
    )
