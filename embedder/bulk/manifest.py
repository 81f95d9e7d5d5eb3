"""The manifest of a bulk run: its settings and inputs. It is written first, so that a run resumes with the same ones.

The list of photos is stored beside it, so that a run need not keep it in memory.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..runtime.choice import RuntimeOptions
from ..types import Precision
from .output import WRITER_FILE, BulkError, OutputFolder
from .sources import PhotoSource


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """The photos to embed, the settings and the output folder."""

    source: PhotoSource
    out: OutputFolder
    face: str
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions


MANIFEST_FILE = "_run.json"  # readers of Parquet folders ignore names that start with _
MAX_MANIFEST_BYTES = 2**16
LIST_FILE = "_photos.jsonl"
BLOCK = 2048  # photos per part: the most that is lost if a run is killed
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
    """All settings and inputs that determine the content of the parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["visavis-bulk/2"] = "visavis-bulk/2"
    n_photos: int
    photos: str  # digest of their names in order: "sha256:..."
    block: int  # photos per part
    face: str
    model: str
    model_digest: str
    card_digest: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class PhotoList:
    """The number of photos and the digest of their names."""

    n_photos: int
    digest: str


def manifest_text(names: Iterable[str], lines: IO[bytes]) -> PhotoList:
    """Write names, one per line, and return their number and digest."""
    digest, n_photos = hashlib.sha256(), 0
    for name in names:
        line = json.dumps(name).encode() + b"\n"  # JSON preserves names that are not UTF-8
        lines.write(line)
        digest.update(line)
        n_photos += 1
    return PhotoList(n_photos, "sha256:" + digest.hexdigest())


def require_as_begun(out: OutputFolder, manifest: Manifest) -> None:
    """Raise BulkError if the folder contains a run with other settings or inputs."""
    if not out.exists(MANIFEST_FILE):
        return
    before = read_manifest(out)
    differing = [
        f"{words} ({then} then, {now} now)"
        for name, words in WORDS.items()
        if (then := getattr(before, name)) != (now := getattr(manifest, name))
    ]
    if differing:
        raise BulkError(
            f"{out}: contains a run with {', '.join(differing)}; "
            "run it again with the same options, or choose another --out for a new run"
        )


def write_manifest(out: OutputFolder, manifest: Manifest) -> None:
    """Write the manifest. Raises BulkError."""
    out.write(MANIFEST_FILE, manifest.model_dump_json(indent=2).encode() + b"\n")


def require_free_or_ours(out: OutputFolder) -> None:
    """Raise BulkError unless the folder is missing, empty or that of an earlier run."""
    if not out.exists(MANIFEST_FILE) and out.names() - {WRITER_FILE, LIST_FILE, "." + LIST_FILE, "." + MANIFEST_FILE}:
        raise BulkError(f"{out}: contains files that are not from a bulk run; choose a new folder as --out")


def blocks(out: OutputFolder, size: int) -> Iterator[tuple[str, ...]]:
    """The names of a run's photos, block by block, from its list."""
    with out.open(LIST_FILE) as file:
        names = map(json.loads, file)
        while block := tuple(islice(names, size)):
            yield block


def read_manifest(out: OutputFolder) -> Manifest:
    """Read the manifest of a run. Raises BulkError."""
    try:
        return Manifest.model_validate_json(out.read(MANIFEST_FILE, MAX_MANIFEST_BYTES))
    except (OSError, ValidationError) as error:
        raise BulkError(f"{out}/{MANIFEST_FILE}: not a readable description of a run; choose another --out") from error
