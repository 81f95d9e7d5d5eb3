"""What a run writes down as it goes on: steps.csv and validation.csv in its folder, for any program to read."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Self

from .record import StepRecord, ValidationRecord
from .table import CsvTable, cell, read_table

STEPS, VALIDATION = "steps.csv", "validation.csv"
PART = "loss."  # before the name of a term
STEP_COLUMNS = tuple(field.name for field in fields(StepRecord) if field.name != "parts")
VALIDATION_COLUMNS = tuple(field.name for field in fields(ValidationRecord))


class RunLog:
    """Both tables, opened. `parts` are the names of the loss's terms; `resumed_from` the step that a run goes on from.

    Raises TrainingError where they cannot be written.
    """

    def __init__(self, folder: Path, parts: Sequence[str], resumed_from: int | None = None) -> None:
        self._parts = tuple(parts)
        columns = (*STEP_COLUMNS, *(PART + name for name in parts))
        self._steps = CsvTable(folder / STEPS, columns, resumed_from)
        self._validations = CsvTable(folder / VALIDATION, VALIDATION_COLUMNS, resumed_from)

    def step(self, record: StepRecord) -> None:
        """Write a step down. Raises ValueError for a term that was not named at the start."""
        if unknown := set(record.parts) - set(self._parts):
            raise ValueError(f"the log has no column for {', '.join(sorted(unknown))}, only for {self._parts}")
        known = [getattr(record, name) for name in STEP_COLUMNS]
        self._steps.add([cell(value) for value in (*known, *map(record.parts.get, self._parts))])

    def validation(self, record: ValidationRecord) -> None:
        """Write a look at people held out down."""
        self._validations.add([cell(getattr(record, name)) for name in VALIDATION_COLUMNS])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_why: object) -> None:
        self._steps.close()
        self._validations.close()


def read_steps(folder: Path) -> tuple[StepRecord, ...]:
    """Read what is written of a run's steps, in their order."""
    return tuple(_as_step(row) for row in read_table(folder / STEPS))


def read_validations(folder: Path) -> tuple[ValidationRecord, ...]:
    """Read what is written of people held out, in the order of the steps."""
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
