"""From a TOML file and `--set key=value` to a `RunFile`; every mistake is reported with its key."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from embedder import BUILT_IN_MODELS, VisavisError

from .run_file import RunFile

PATHS = (("data", "train"), ("data", "validation"), ("network", "weights"))
BUNDLES = (("network", "start"),)  # a path too, unless it says built-in
BUILT_IN = "built-in"
KIND_AT = 2  # where a loss's kind stands in the place of a fault, between its number and its key

WORDED = {
    "bundle.name": "must be of small letters, digits, dots, dashes and underscores, and begin with a letter or digit",
    "bundle.license": "must say on what terms the weights may be used, given what they were trained on",
    "bundle.trained_on": "must say whom the photos show and where they are from",
}

Table = dict[str, Any]


class RunFileError(VisavisError):
    """A run file that cannot be used; the message names the key and says what it should be."""

    code = "run_file_error"


def read_run_file(path: Path, settings: Iterable[str] = ()) -> RunFile:
    """Read it, with settings such as "loop.steps=500" over it. Raises RunFileError.

    Relative paths in the file start from its folder, those of settings from the working folder.
    """
    table = _parse(path)
    _resolve(table, path.parent)
    for setting in settings:
        _apply(table, setting)
    return _validated(table, path)


def to_json(run: RunFile) -> str:
    """A run file in full, as it lies in the run's folder: with every default, and paths as they were used."""
    return json.dumps(run.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> RunFile:
    """Read what `to_json` wrote. Raises RunFileError."""
    try:
        return _validated(json.loads(path.read_bytes()), path)
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunFileError(f"{path}: is not as it was written; begin the run anew in another folder") from error


def _parse(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise RunFileError(f"{path}: cannot be read: {error.strerror}; give the path of a run file") from error
    except UnicodeDecodeError as error:
        raise RunFileError(f"{path}: is no text in UTF-8 (byte {error.start:,}); save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise RunFileError(f"{path}: is no TOML: {error}") from error


def _apply(table: Table, setting: str) -> None:
    """Set one value: `losses.0.margin=0.3` too, a position in a list that is there."""
    name, equals, text = setting.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise RunFileError(f"--set takes key=value, as in --set loop.steps=500, not {setting[:80]!r}")
    place: Any = table
    for key in keys[:-1]:
        place = _inside(place, key, name)
    is_path = tuple(keys) in PATHS + BUNDLES or keys[-1] == "teacher"
    value = _path(text.strip(), Path()) if is_path else _value(text.strip())
    match keys:  # a table as a whole may have paths in it
        case [_]:
            _resolve({keys[0]: value}, Path())
        case ["losses", _]:
            _resolve({"losses": [value]}, Path())
    if isinstance(place, list):
        place[_position(place, keys[-1], name)] = value
    elif isinstance(place, dict):
        place[keys[-1]] = value
    else:
        raise RunFileError(f"--set {name}: {keys[-2]} is a value and has no keys")


def _inside(place: Any, key: str, name: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, key, name)]
    if not isinstance(place, dict):
        raise RunFileError(f"--set {name}: {key} would be in a value, which has no keys")
    return place.setdefault(key, {})


def _position(place: list[Any], key: str, name: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise RunFileError(f"--set {name}: a list of {len(place)} is there; name one by its position, from 0")
    return int(key)


def _value(text: str) -> Any:
    """A TOML value where it is one; else text, so that paths and names need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _resolve(table: Table, folder: Path) -> None:
    """Let every path of the file start from its folder."""
    for section, key in PATHS + BUNDLES:
        _resolve_one(table.get(section), key, folder)
    for term in _terms(table):
        _resolve_one(term, "teacher", folder)


def _resolve_one(part: object, key: str, folder: Path) -> None:
    if isinstance(part, dict) and isinstance(part.get(key), str):
        part[key] = _path(part[key], folder)


def _path(text: str, folder: Path) -> str:
    """A path from a folder, as it is from anywhere.

    An empty one, which is refused later, and names of built-in models stay.
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
    """Tell each; that a list is too short is no news where an entry of it was refused."""
    faults = error.errors()
    inside = {fault["loc"][0] for fault in faults if len(fault["loc"]) > 1}
    kept = [fault for fault in faults if fault["type"] != "too_short" or fault["loc"][0] not in inside]
    return [_told(fault["loc"], fault["msg"], fault["type"]) for fault in kept]


def _told(place: tuple[int | str, ...], message: str, kind: str) -> str:
    key = ".".join(str(part) for k, part in enumerate(place) if not (k == KIND_AT and place[0] == "losses"))
    if kind == "extra_forbidden":
        return f"{key} is no key of a run file; see docs/training.md for those there are"
    if kind == "missing":
        return f"{key} is missing"
    if key in WORDED:
        return f"{key} {WORDED[key]}"
    text = message.removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
