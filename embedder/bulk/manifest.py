"""The manifest of a bulk run: its settings and inputs. It is written first, so that a run resumes with the same ones.

The list of photos is stored beside it, so that a run need not keep it in memory.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from ..runtime.choice import RuntimeOptions
from ..types import Precision
from ..weights.card import EmbeddingSize
from .output import WRITER_FILE, BulkError, OutputFolder
from .sources import PhotoSource


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shares of a run's parts: those whose number modulo `count` is `number`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "i/n", with 0 <= i < n. Raises ValueError."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"{text!r} is not a shard: write i/n with i from 0 to n - 1, as in 0/4 to 3/4")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        """Write as "i/n"."""
        return f"{self.number}/{self.count}"


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """The photos to embed, the settings and the output folder."""

    source: PhotoSource
    out: OutputFolder
    face: str
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions
    shard: Shard | None = None  # None: all parts


MANIFEST_FILE = "_run.json"  # readers of Parquet folders ignore names that start with _
MAX_MANIFEST_BYTES = 2**16
LIST_FILE = "_photos.jsonl"
USUAL_SIZE = 128  # channels of the embeddings of a run whose manifest does not say
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
    "shard": "another --shard",
}


def _as_shard(given: object) -> Shard:
    return given if isinstance(given, Shard) else Shard.parse(str(given))


class Manifest(BaseModel):
    """All settings and inputs that determine the content of the parts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["visavis-bulk/2"] = "visavis-bulk/2"
    n_photos: Annotated[int, Field(ge=1)]
    photos: str  # digest of their names in order: "sha256:..."
    block: Annotated[int, Field(ge=1)]  # photos per part
    face: str
    model: str
    model_digest: str
    card_digest: str
    precision: Precision
    # Channels of an embedding. Omitted if usual, so that manifests of earlier runs do not change.
    embedding_size: Annotated[EmbeddingSize, Field(exclude_if=lambda size: size == USUAL_SIZE)] = USUAL_SIZE
    shard: Annotated[Shard, BeforeValidator(_as_shard), PlainSerializer(str)] | None = None  # None: a whole run

    @property
    def parts(self) -> range:
        """The numbers of the parts in this folder."""
        n_parts = -(-self.n_photos // self.block)
        return range(n_parts) if self.shard is None else range(self.shard.number, n_parts, self.shard.count)

    def n_photos_in(self, part: int) -> int:
        """The number of photos of a part."""
        return min(self.block, self.n_photos - part * self.block)


@dataclass(frozen=True, slots=True)
class PhotoList:
    """The number of photos and the digest of their names."""

    n_photos: int
    digest: str


def manifest_text(names: Iterable[str], lines: IO[bytes], block: int, shard: Shard | None = None) -> PhotoList:
    """Write the names in a shard's parts, one per line, and return the number and digest of all names."""
    digest, n_photos, own = hashlib.sha256(), 0, shard or Shard(0, 1)
    for name in names:
        line = json.dumps(name).encode() + b"\n"  # JSON preserves names that are not UTF-8
        if n_photos // block % own.count == own.number:
            lines.write(line)
        digest.update(line)
        n_photos += 1
    return PhotoList(n_photos, "sha256:" + digest.hexdigest())


def differences(one: Manifest, other: Manifest) -> Iterator[tuple[str, object, object]]:
    """What differs between two runs, in words, and both values."""
    for name, words in WORDS.items():
        if (first := getattr(one, name)) != (second := getattr(other, name)):
            yield words, first, second


def require_as_begun(out: OutputFolder, manifest: Manifest) -> None:
    """Raise BulkError if the folder contains a run with other settings or inputs."""
    if not out.exists(MANIFEST_FILE):
        return
    differing = [f"{words} ({then} then, {now} now)" for words, then, now in differences(read_manifest(out), manifest)]
    if differing:
        raise BulkError(
            f"{out}: contains a run with {', '.join(differing)}; "
            "run it again with the same options, or choose another --out for a new run"
        )


def write_manifest(out: OutputFolder, manifest: Manifest) -> None:
    """Write the manifest. Raises BulkError."""
    out.write(MANIFEST_FILE, manifest.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")


def require_free_or_ours(out: OutputFolder) -> None:
    """Raise BulkError unless the folder is missing, empty or that of an earlier run."""
    if not out.exists(MANIFEST_FILE) and out.names() - {WRITER_FILE, LIST_FILE, "." + LIST_FILE, "." + MANIFEST_FILE}:
        raise BulkError(f"{out}: contains files that are not from a bulk run; choose a new folder as --out")


def blocks(out: OutputFolder, size: int) -> Iterator[tuple[str, ...]]:
    """The names in the parts of a folder, part by part, from its list."""
    with out.open(LIST_FILE) as file:
        names = map(json.loads, file)
        while block := tuple(islice(names, size)):
            yield block


def read_manifest(out: OutputFolder) -> Manifest:
    """Read the manifest of a run. Raises BulkError, also if there is none."""
    try:
        return Manifest.model_validate_json(out.read(MANIFEST_FILE, MAX_MANIFEST_BYTES))
    except FileNotFoundError as error:
        raise BulkError(f"{out}: holds no bulk run; give the folder that visavis embed --out wrote") from error
    except BulkError:  # the store does not answer
        raise
    except (OSError, ValidationError) as error:
        raise BulkError(
            f"{out}/{MANIFEST_FILE}: not a readable description of a run; embed the photos into another folder"
        ) from error
