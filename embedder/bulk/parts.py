"""A part: the results of a block of photos. Faces are stored as Parquet, failures, if any, in a file beside it.

A third file has the sha256 of both, which Parquet lacks. It is written last: a block is done if it exists and matches.
Checking costs what reading costs: a part of 2,048 photos has 1.5 MB, so a resumed run over ten million reads 7.5 GB.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from ..pipeline import ALL_FACES
from ..quality import MEASURES
from ..weights.bundle import sha256_of
from .manifest import Manifest
from .output import BulkError, OutputFolder
from .workers import FaceRow, FailedPhoto, PhotoOutcome

MAX_SUMS_BYTES, MAX_PART_BYTES = 2**10, 2**32  # 2,048 photos with 256 faces of 1,024 channels each take 2.3 GB

BOX = ("x", "y", "width", "height")
N_LANDMARKS = 5
_NUMBER = pa.float32()


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What one part contains, or several together."""

    n_rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # photos, by code

    def plus(self, other: "PartCounts") -> "PartCounts":
        """Add up."""
        return PartCounts(self.n_rows + other.n_rows, self.failed + other.failed)


def schema(embedding_size: int) -> pa.Schema:
    """The columns of the faces, with embeddings of so many channels."""
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("embedding", pa.list_(_NUMBER, embedding_size), nullable=False),
            _record("box", BOX),
            pa.field("landmarks", pa.list_(_NUMBER, 2 * N_LANDMARKS), nullable=False),  # x, y of each landmark in turn
            pa.field("score", _NUMBER, nullable=False),
            pa.field("rotation", pa.int16(), nullable=False),
            _record("quality", MEASURES),
            pa.field("n_faces", pa.int32()),
            pa.field("choice", pa.string(), nullable=False),
            pa.field("face", pa.int32(), nullable=False),  # dropped where each photo has one row
        ]
    )


def _record(name: str, numbers: Sequence[str]) -> pa.Field:
    return pa.field(name, pa.struct([pa.field(each, _NUMBER, nullable=False) for each in numbers]), nullable=False)


def part_name(number: int) -> str:
    """The name of a part, counted from 0."""
    return f"part-{number:05}.parquet"


def failed_name(number: int) -> str:
    """The name of the file of a part's failures, one JSON object per line."""
    return f"_failed-{number:05}.jsonl"


def sums_name(number: int) -> str:
    """The name of the file with the sha256 of a part's files, as JSON: `{"rows": ..., "failed": ...}`."""
    return f"_sums-{number:05}.json"


def write_part(out: OutputFolder, number: int, outcomes: Sequence[PhotoOutcome], manifest: Manifest) -> PartCounts:
    """Write a part, and return what it contains. Raises BulkError."""
    out.remove(sums_name(number))  # left by a run whose part was damaged since
    out.remove(failed_name(number))  # left by a run that was killed before it wrote the part
    failures = [each for each in outcomes if isinstance(each, FailedPhoto)]
    failed = b"".join(json.dumps(asdict(each)).encode() + b"\n" for each in failures)
    if failed:
        out.write(failed_name(number), failed)
    faces = [row for each in outcomes if not isinstance(each, FailedPhoto) for row in each]
    rows = _parquet(faces, manifest)
    out.write(part_name(number), rows)
    out.write(sums_name(number), json.dumps(_sums(rows, failed)).encode() + b"\n")
    return PartCounts(len(faces), Counter(each.code for each in failures))


def done_part(out: OutputFolder, number: int) -> PartCounts | None:
    """What a part contains if it is complete and to the byte what was written, else None.

    It is counted here, because to open it once more costs hours where there are many parts. Raises BulkError if a store
    does not answer.
    """
    try:
        sums = out.read(sums_name(number), MAX_SUMS_BYTES)
        rows = out.read(part_name(number), MAX_PART_BYTES)
        failed = _failed(out, number)
    except BulkError:  # the part may be sound
        raise
    except OSError:
        return None
    return _counts(rows, failed) if sums == json.dumps(_sums(rows, failed)).encode() + b"\n" else None


def _counts(rows: bytes, failed: bytes) -> PartCounts:
    n_rows: int = parquet.read_metadata(pa.BufferReader(rows)).num_rows
    return PartCounts(n_rows, Counter(json.loads(line)["code"] for line in failed.splitlines()))


def _sums(rows: bytes, failed: bytes) -> dict[str, str]:
    return {"rows": sha256_of(rows), "failed": sha256_of(failed)}


def _failed(out: OutputFolder, number: int) -> bytes:
    """The content of the file of failures; empty if there is none. Raises OSError."""
    try:
        return out.read(failed_name(number), MAX_PART_BYTES)
    except FileNotFoundError:
        return b""


def _parquet(rows: Sequence[FaceRow], manifest: Manifest) -> bytes:
    table, file = _table(rows, manifest.embedding_size), pa.BufferOutputStream()
    if manifest.face != ALL_FACES:
        table = table.drop_columns(["face"])
    parquet.write_table(table.replace_schema_metadata(_facts(manifest)), file, use_dictionary=["choice"])
    content: bytes = file.getvalue().to_pybytes()
    return content


def _facts(manifest: Manifest) -> dict[str, str]:
    """The file's metadata: embeddings cannot be used without their model's digest."""
    return {
        f"visavis.{name}": getattr(manifest, name) for name in ("model", "model_digest", "card_digest", "precision")
    }


def _table(rows: Sequence[FaceRow], embedding_size: int) -> pa.Table:
    samples = [row.sample for row in rows]
    faces = [sample.face for sample in samples]
    columns = [
        pa.array([as_text(row.name) for row in rows], pa.string()),
        _lists([row.vector for row in rows], embedding_size),
        _struct([astuple(face.box) for face in faces], BOX),
        _lists([np.ravel(face.landmarks) for face in faces], 2 * N_LANDMARKS),
        pa.array([face.score for face in faces], _NUMBER),
        pa.array([face.rotation for face in faces], pa.int16()),
        _struct([astuple(sample.quality) for sample in samples], MEASURES),
        pa.array([sample.n_faces for sample in samples], pa.int32()),
        pa.array([sample.choice for sample in samples], pa.string()),
        pa.array([row.index for row in rows], pa.int32()),
    ]
    return pa.Table.from_arrays(columns, schema=schema(embedding_size))


def _lists(rows: Sequence[NDArray[np.floating]], size: int) -> pa.Array:
    numbers = np.concatenate([*rows, np.empty(0)], dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers), size)


def _struct(rows: Sequence[tuple[float, ...]], names: Sequence[str]) -> pa.Array:
    numbers = np.array(rows, np.float32).reshape(-1, len(names))
    fields = [pa.field(name, _NUMBER, nullable=False) for name in names]
    return pa.StructArray.from_arrays([pa.array(column) for column in numbers.T.copy()], fields=fields)


def as_text(name: str) -> str:
    """Escape the bytes of a name that are not UTF-8, because Parquet strings must be UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
