"""What a bulk run is asked for and what it is of: written before its first part, so that it goes on with the same.

The list of photos lies beside it, so that no run need hold it in memory.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import VisavisError
from ..private_files import PrivateFiles
from ..runtime.choice import RuntimeOptions
from ..types import FaceChoice, Precision


class BulkError(VisavisError):
    """A bulk run cannot begin or go on; the message says what to do. A photo at fault is none: it is listed."""

    code = "bulk_error"


FILES = PrivateFiles(BulkError)


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What is to be embedded, how, and where to."""

    given: tuple[Path, ...]  # folders and files
    out: Path
    face: FaceChoice
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions


MANIFEST_FILE = "_run.json"  # what begins with _ is no data to readers of Parquet folders
LIST_FILE = "_photos.jsonl"
BLOCK = 2048  # photos whose faces are in one part: what a kill costs, at most
WORDS = {
    "photos": "other photos",
    "n_photos": "another number of photos",
    "block": "parts of another size",
    "face": "another --face",
    "model": "another model",
    "model_digest": "another model digest",
    "card_digest": "another model card",
    "precision": "another --precision",
}


class Manifest(BaseModel):
    """What decides the content of every part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["visavis-bulk/1"] = "visavis-bulk/1"
    n_photos: int
    photos: str  # digest of their names in order: "sha256:..."
    block: int  # photos to a part
    face: FaceChoice
    model: str
    model_digest: str
    card_digest: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class PhotoList:
    """Names of photos, counted and digested."""

    n_photos: int
    digest: str


def manifest_text(names: Iterable[str], lines: IO[bytes]) -> PhotoList:
    """Write names down, one a line, and count and digest them."""
    digest, n_photos = hashlib.sha256(), 0
    for name in names:
        line = json.dumps(name).encode() + b"\n"  # JSON keeps names that are no UTF-8
        lines.write(line)
        digest.update(line)
        n_photos += 1
    return PhotoList(n_photos, "sha256:" + digest.hexdigest())


def require_as_begun(out: Path, manifest: Manifest) -> None:
    """Raise BulkError where a run was begun that was of something else."""
    if not (out / MANIFEST_FILE).exists():
        return
    before = _read(out / MANIFEST_FILE)
    differing = [
        f"{words} ({then} then, {now} now)"
        for name, words in WORDS.items()
        if (then := getattr(before, name)) != (now := getattr(manifest, name))
    ]
    if differing:
        raise BulkError(
            f"{out}: was begun with {', '.join(differing)}; run it again as then, or give another --out to begin anew"
        )


def write_manifest(out: Path, manifest: Manifest) -> None:
    """Write what is to be made. Raises BulkError."""
    with FILES.new(out / MANIFEST_FILE) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")


def require_free_or_ours(out: Path) -> None:
    """Raise BulkError where there is anything but an empty folder, or one that a run was begun in."""
    try:
        entries = {each.name for each in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise BulkError(f"{out}: cannot be used: {error.strerror}; give another --out") from error
    if MANIFEST_FILE not in entries and entries - {LIST_FILE, "." + LIST_FILE, "." + MANIFEST_FILE}:
        raise BulkError(f"{out}: holds other things than embeddings of a run; give a new folder as --out")


def blocks(out: Path, size: int) -> Iterator[tuple[str, ...]]:
    """The names of a run's photos, block by block, from its list."""
    with (out / LIST_FILE).open("rb") as file:
        names = map(json.loads, file)
        while block := tuple(islice(names, size)):
            yield block


def _read(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BulkError(f"{path}: is no description of a run that can be read; give another --out") from error
