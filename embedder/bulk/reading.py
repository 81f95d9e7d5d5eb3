"""Read the faces of a finished bulk run back, with their embeddings."""

import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from ..quality import MEASURES
from ..types import Box, Rotation
from .manifest import LIST_FILE, read_manifest
from .output import BulkError, OutputFolder
from .parts import BOX, as_text, part_name
from .sources import name_of


@dataclass(frozen=True, slots=True)
class PhotoFace:
    """One face of a photo."""

    photo: int  # number of the photo
    index: int  # among the embedded faces of the photo, from 0
    box: Box
    rotation: Rotation


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFaces:
    """All faces of a bulk run. Its `repr` does not show the embeddings, which are biometric data."""

    photos: tuple[str, ...]  # the names of all photos, in order; they can be opened, even if they are not UTF-8
    faces: tuple[PhotoFace, ...]
    vectors: NDArray[np.float32] = field(repr=False)  # (n, channels)
    qualities: NDArray[np.float32]  # (n, 10), in the order of MEASURES


def read_faces(out: OutputFolder) -> EmbeddedFaces:
    """Read the faces of a run that has ended, in the order of the photos. Raises BulkError."""
    manifest = read_manifest(out)
    if manifest.shard is not None:
        raise BulkError(f"{out}: holds shard {manifest.shard} of a run only; join all shards with visavis embed merge")
    try:
        with out.open(LIST_FILE) as file:
            photos = tuple(name_of(json.loads(line)) for line in file)
        table = pa.concat_tables([_part(out, number) for number in manifest.parts])
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BulkError(f"{out}: cannot be read: {error}; run it again") from error
    return EmbeddedFaces(
        photos, _faces(photos, table), _matrix(table["embedding"], manifest.embedding_size), _qualities(table)
    )


def _part(out: OutputFolder, number: int) -> pa.Table:
    with out.open(part_name(number)) as file:
        return parquet.read_table(file)


def _faces(photos: tuple[str, ...], table: pa.Table) -> tuple[PhotoFace, ...]:
    numbers = {as_text(name): number for number, name in enumerate(photos)}
    paths, rotations = table["path"].to_pylist(), table["rotation"].to_pylist()
    boxes = _columns(table["box"], BOX).astype(float).tolist()
    indices = table["face"].to_pylist() if "face" in table.column_names else [0] * len(paths)
    columns = zip(paths, indices, boxes, rotations, strict=True)
    return tuple(PhotoFace(numbers[path], index, Box(*box), rotation) for path, index, box, rotation in columns)


def _matrix(column: pa.ChunkedArray, n_channels: int) -> NDArray[np.float32]:
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    matrix: NDArray[np.float32] = np.concatenate([np.empty(0, np.float32), *chunks]).reshape(-1, n_channels)
    return matrix


def _qualities(table: pa.Table) -> NDArray[np.float32]:
    return _columns(table["quality"], MEASURES)


def _columns(column: pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.float32]:
    """The fields of a column of records, one for each column: (n, names)."""
    table = pa.table({name: column.combine_chunks().field(name) for name in names})
    return np.column_stack([table[name].to_numpy() for name in names])
