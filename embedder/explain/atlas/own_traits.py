"""Traits of the user's own, from a CSV file: a column `photo` or `identity`, and a number in every other one."""

import csv
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .people import AtlasError
from .traits import TRAITS, Trait

KEYS = ("photo", "identity")
NAMES = frozenset(trait.name for trait in TRAITS)


def own_traits(file: Path, names: Sequence[str]) -> tuple[list[Trait], NDArray[np.float64]]:
    """The traits, and those of each photo (n, traits), NaN where the file has none. Raises AtlasError.

    `names` are those of the photos, below the folder of people: `person/photo.jpg`; the person is the identity.
    """
    rows = _rows(file)
    columns = list(rows[0]) if rows else []
    if not columns or columns[0] not in KEYS or len(columns) == 1:
        raise AtlasError("the file of traits begins with a line of names: photo or identity, then one for each trait")
    if taken := NAMES.intersection(columns):
        raise AtlasError(
            f"the file of traits has a trait named {min(taken)}, which is measured already; name it otherwise"
        )
    known = {row[columns[0]]: _numbers(row, columns[1:], number) for number, row in enumerate(rows, start=2)}
    keys = [name if columns[0] == "photo" else name.partition("/")[0] for name in names]
    if not any(key in known for key in keys):
        raise AtlasError(f"the file of traits names no {columns[0]} that the folder has; name them as in it")
    missing = np.full(len(columns) - 1, np.nan)
    return [Trait(name, name, name) for name in columns[1:]], np.stack([known.get(key, missing) for key in keys])


def _rows(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return list(csv.DictReader(lines))
    except OSError as error:
        raise AtlasError(f"the file of traits cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise AtlasError("the file of traits is no CSV in UTF-8; save it as one") from error


def _numbers(row: dict[str, str], columns: list[str], line: int) -> NDArray[np.float64]:
    try:
        return np.array([_number(row[name]) if row[name] else np.nan for name in columns])
    except (TypeError, ValueError) as error:
        raise AtlasError(f"the file of traits, line {line}: every trait is a number, or empty where unknown") from error


def _number(text: str) -> float:
    """Raises ValueError where it is none, or not finite."""
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number
