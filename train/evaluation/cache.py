"""A cache of embeddings on disk, by the digest of the image's bytes, in files that are never changed.

The file names contain a digest of everything that can change an embedding or the choice of the face: the model, its
runtime, the face choice, and the code, weights and libraries for finding faces and running networks. The files contain
biometric data and are readable only by their owner.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from secrets import token_hex

import click
import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, FaceChoice, FaceEmbedder, VisavisError, read_regular_file, replacing

# Parts of the embedder whose code cannot change an embedding; a new file anywhere else invalidates the cache.
NOT_DECIDING = ("bulk", "explain", "photo_files.py", "progress.py")
LIBRARIES = ("facenet-pytorch", "numpy", "openvino", "pillow", "torch", "torchvision")

MAX_PART_BYTES = 2**32
N_MEASURES = len(MEASURES)


def record(n_channels: int) -> np.dtype[np.void]:
    """The record of one image, with an embedding of so many channels."""
    vector, measures = ("vector", "<f4", (n_channels,)), ("measures", "<f4", (N_MEASURES,))
    return np.dtype([("image", "S71"), ("fault", "S32"), vector, measures])


@dataclass(frozen=True, slots=True, eq=False)
class CachedFace:
    """A face: its embedding and the quality measures of its photo."""

    vector: NDArray[np.float32]  # (channels,)
    measures: NDArray[np.float32]  # (measures,) in the order of MEASURES


Outcome = CachedFace | str  # a face, or the code of the image's error
Outcomes = dict[str, Outcome]  # by the digest of the image: "sha256:..."


class CacheError(VisavisError):
    """A cache folder cannot be used; the message says why."""

    code = "cache_error"


class _Damaged(Exception):
    """A cache file is damaged."""


class EmbeddingCache:
    """The files of a cache folder with one key. A damaged file is removed and reported to `warn`."""

    def __init__(self, folder: Path, settings_key: str, n_channels: int, warn: Callable[[str], None]) -> None:
        self._folder, self._key, self._record = folder, settings_key, record(n_channels)
        self._warn = warn
        with _trouble_told(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> Outcomes:
        """Read all cached outcomes; empty if there is no file yet. Raises CacheError."""
        known: Outcomes = {}
        with _trouble_told(self._folder):
            parts = sorted(self._folder.glob(f"{self._key}-*.npz"))
        for part in parts:
            known |= self._read(part)
        return known

    def save(self, outcomes: Mapping[str, Outcome]) -> None:
        """Add outcomes in a new file, which is written atomically. Raises CacheError."""
        part = (
            self._folder / f"{self._key}-{token_hex(8)}.npz"
        )  # unique, so that several processes can write at the same time
        with _trouble_told(part), replacing(part) as file:
            np.savez(file, records=_records(outcomes, self._record))

    def _read(self, part: Path) -> Outcomes:
        with _trouble_told(part):
            try:
                data = read_regular_file(part, MAX_PART_BYTES)
            except FileNotFoundError:  # another process found it damaged
                return {}
        try:
            return _parse(data, self._record)
        except _Damaged:
            return self._without(part)

    def _without(self, part: Path) -> Outcomes:
        self._warn(f"the cache file {part} is damaged; it is removed, and its photos are embedded again")
        with _trouble_told(part):
            part.unlink(missing_ok=True)
        return {}


def open_cache(folder: Path, embedder: FaceEmbedder, face: FaceChoice) -> EmbeddingCache:
    """Open the cache for an embedder and a face choice; warnings go to stderr. Raises CacheError."""
    key = settings_key(embedder.identity.digest, embedder.runtime_description, face)
    return EmbeddingCache(folder, key, embedder.card.architecture.embedding_size, partial(click.echo, err=True))


def settings_key(model_digest: str, runtime: str, face: FaceChoice) -> str:
    """Digest everything that determines the outcome of an image: 64 hexadecimal digits."""
    libraries = {name: version(name) for name in LIBRARIES}
    facts = [model_digest, runtime, face, code_digest(Path(str(files("embedder")))), libraries]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def code_digest(embedder: Path) -> str:
    """Digest the embedder's code that can change an embedding, and the graphs of its detector."""
    digests = {
        path.relative_to(embedder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in embedder.rglob("*")
        if _decides(path.relative_to(embedder))
    }
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _decides(path: Path) -> bool:
    """Check whether a file can change an embedding; a model's own graphs are part of its digest already."""
    folder = path.parts[0]
    return folder not in NOT_DECIDING and (path.suffix == ".py" or (path.suffix == ".onnx" and folder == "detection"))


def _parse(data: bytes, expected: np.dtype[np.void]) -> Outcomes:
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            return _outcomes(archive["records"], expected)  # verifies the checksum
    except Exception as fault:  # a damaged file may raise any exception
        raise _Damaged from fault


def _outcomes(records: NDArray[np.void], expected: np.dtype[np.void]) -> Outcomes:
    if records.dtype != expected or records.ndim != 1:
        raise _Damaged
    images, faults = (np.char.decode(records[name], "ascii").tolist() for name in ("image", "fault"))
    faces = map(CachedFace, records["vector"], records["measures"])
    return {image: fault or face for image, fault, face in zip(images, faults, faces, strict=True)}


def _records(outcomes: Mapping[str, Outcome], of_one: np.dtype[np.void]) -> NDArray[np.void]:
    records = np.zeros(len(outcomes), of_one)
    for record, (image, outcome) in zip(records, sorted(outcomes.items(), key=lambda item: item[0]), strict=True):
        record["image"] = image
        if isinstance(outcome, str):
            record["fault"] = outcome
        else:
            record["vector"], record["measures"] = outcome.vector, outcome.measures
    return records


@contextmanager
def _trouble_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CacheError(f"the cache {path} cannot be used: {error.strerror}; give another folder, or none") from error
