"""Read a `RunFile` from a TOML file and `--set key=value`; every error names its key."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from embedder import BUILT_IN_MODELS, VisavisError, parse_toml, read_regular_file

from .run_file import RunFile

MAX_BYTES = 2**20  # of a run file
PATHS = (("data", "train"), ("data", "validation"), ("network", "weights"))
BUNDLES = (("network", "start"),)  # a path too, unless it is "built-in"
BUILT_IN = "built-in"
KIND_AT = 2  # index of a loss's kind in pydantic's error location, between its number and its key

WORDED = {
    "bundle.name": "must consist of lower-case letters, digits, dots, dashes and underscores, and begin with a letter "
    "or digit",
    "bundle.license": "must state the licence of the weights, given their training data",
    "bundle.trained_on": "must describe the people in the photos and the photos' source",
}

Table = dict[str, Any]


class RunFileError(VisavisError):
    """A run file cannot be used; the message names the key and the expected value."""

    code = "run_file_error"


def read_run_file(path: Path, settings: Iterable[str] = ()) -> RunFile:
    """Read a run file and apply settings such as "loop.steps=500" to it. Raises RunFileError.

    Relative paths in the file are relative to its folder, those in settings to the working folder.
    """
    table = _parse(path)
    _resolve(table, path.parent)
    for setting in settings:
        _apply(table, setting)
    return _validated(table, path)


def to_json(run: RunFile) -> str:
    """Serialize a run file as it is stored in the run's folder: with all defaults and with resolved paths."""
    return json.dumps(run.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> RunFile:
    """Read a file written by `to_json`. Raises RunFileError."""
    try:
        return _validated(json.loads(read_regular_file(path, MAX_BYTES)), path)
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunFileError(
            f"{path}: was changed or damaged after it was written; start a new run in another folder"
        ) from error


def _parse(path: Path) -> Table:
    try:
        return parse_toml(read_regular_file(path, MAX_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}; give the path of a run file") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: is not UTF-8 text (byte {error.start:,}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RunFileError(f"{path}: is not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists in lists
        raise RunFileError(f"{path}: is not a run file: {type(error).__name__}") from error


def _apply(table: Table, setting: str) -> None:
    """Set one value. A key may contain the index of an existing list entry: `losses.0.margin=0.3`."""
    name, equals, text = setting.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise RunFileError(f"--set needs key=value, as in --set loop.steps=500, not {setting[:80]!r}")
    place: Any = table
    for key in keys[:-1]:
        place = _inside(place, key, name)
    is_path = tuple(keys) in PATHS + BUNDLES or keys[-1] == "teacher"
    value = _path(text.strip(), Path()) if is_path else _value(text.strip())
    match keys:  # a whole table may contain paths
        case [_]:
            _resolve({keys[0]: value}, Path())
        case ["losses", _]:
            _resolve({"losses": [value]}, Path())
    if isinstance(place, list):
        place[_position(place, keys[-1], name)] = value
    elif isinstance(place, dict):
        place[keys[-1]] = value
    else:
        raise RunFileError(f"--set {name}: {keys[-2]} is a value, not a table")


def _inside(place: Any, key: str, name: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, key, name)]
    if not isinstance(place, dict):
        raise RunFileError(f"--set {name}: cannot set {key} inside a value that is not a table")
    return place.setdefault(key, {})


def _position(place: list[Any], key: str, name: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise RunFileError(f"--set {name}: this is a list of {len(place)}; give an index, counted from 0")
    return int(key)


def _value(text: str) -> Any:
    """Parse a TOML value; anything else is text, so that paths and names need no quotes."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, thousands of digits, or lists in lists in lists
        return text


def _resolve(table: Table, folder: Path) -> None:
    """Resolve every relative path of the file against its folder."""
    for section, key in PATHS + BUNDLES:
        _resolve_one(table.get(section), key, folder)
    for term in _terms(table):
        _resolve_one(term, "teacher", folder)


def _resolve_one(part: object, key: str, folder: Path) -> None:
    if isinstance(part, dict) and isinstance(part.get(key), str):
        part[key] = _path(part[key], folder)


def _path(text: str, folder: Path) -> str:
    """Resolve a path against a folder.

    An empty path, which is refused later, and names of built-in models stay as they are.
    """
    bare = text.strip("'\"")
    return bare if bare in ("", BUILT_IN, *BUILT_IN_MODELS) else str((folder / Path(bare).expanduser()).resolve())


def _terms(table: Table) -> list[Table]:
    terms = table.get("losses")
    return [term for term in terms if isinstance(term, dict)] if isinstance(terms, list) else []


def _validated(table: Mapping[str, Any], path: Path) -> RunFile:
    try:
        return RunFile.model_validate(table)
    except ValidationError as error:
        raise RunFileError(f"{path}: {'; '.join(_faults(error))}") from error


def _faults(error: ValidationError) -> list[str]:
    """Describe each error, except "list too short" where an entry of that list was refused."""
    faults = error.errors()
    inside = {fault["loc"][0] for fault in faults if len(fault["loc"]) > 1}
    kept = [fault for fault in faults if fault["type"] != "too_short" or fault["loc"][0] not in inside]
    return [_fault(fault["loc"], fault["msg"], fault["type"]) for fault in kept]


def _fault(place: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(str(part) for k, part in enumerate(place) if not (k == KIND_AT and place[0] == "losses"))
    if kind == "extra_forbidden":
        return f"{key} is not a key of a run file; docs/training.md lists the keys"
    if kind == "missing":
        return f"{key} is missing"
    if key in WORDED:
        return f"{key} {WORDED[key]}"
    text = message.removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
