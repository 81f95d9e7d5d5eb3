"""The work of a bulk run: a batch of photos in, their faces with embeddings out. It knows no process and no machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import NoFace, SampleError
from ..pipeline import ALL_FACES, FaceEmbedder
from ..runtime.choice import RuntimeOptions
from ..types import Chip, ModelIdentity, Sample
from .output import BulkError
from .sources import PhotoSource, ReadPhoto, name_of
from .stores import StoreUnavailable

NOT_FETCHED = "not_fetched"  # the code of photos that are tried again when the command is


@dataclass(frozen=True, slots=True, eq=False)
class FaceRow:
    """A face of a photo, with its embedding."""

    name: str  # of the photo
    index: int  # among the embedded faces of the photo, from 0
    sample: Sample
    vector: NDArray[np.float32] = field(repr=False)  # (channels,)


@dataclass(frozen=True, slots=True)
class FailedPhoto:
    """A photo without an embedding, and the reason."""

    name: str
    code: str  # of an error, such as no_face; or not_readable, not_fetched, unexpected
    detail: str


class CpuSeconds(NamedTuple):
    """Processor time, over all processes, by stage."""

    find: float = 0.0  # reading, decoding, detecting faces and cutting the chip
    embed: float = 0.0
    write: float = 0.0

    def plus(self, other: "CpuSeconds") -> "CpuSeconds":
        """Add up, stage by stage."""
        return CpuSeconds(*(mine + its for mine, its in zip(self, other, strict=True)))


PhotoOutcome = tuple[FaceRow, ...] | FailedPhoto


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult:
    """The outcomes of a batch of photos, in order."""

    outcomes: tuple[PhotoOutcome, ...]
    cpu_s: CpuSeconds


BATCH = 32  # photos; the network embeds them in one pass


@dataclass(frozen=True, slots=True)
class Task:
    """The settings of all batches of a run."""

    source: PhotoSource
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions  # one thread: there is a worker for each core
    face: str
    identity: ModelIdentity  # of the model that the run began with


class Worker:
    """Embeds batches of photos with a model."""

    def __init__(self, task: Task, embedder: FaceEmbedder) -> None:
        self._task, self._embedder = task, embedder

    def __call__(self, entries: Sequence[str]) -> BatchResult:
        """Embed photos; an unusable photo does not affect the others."""
        begin = process_time()
        names = list(map(name_of, entries))
        photos = zip(names, self._task.source.read(entries), strict=True)
        found = [self._chips(name, read) for name, read in photos]
        chips = [chip.pixels for each in found if not isinstance(each, FailedPhoto) for chip in each]
        cut = process_time()
        vectors = iter(self._embedder.embed_faces(np.stack(chips)) if chips else ())
        outcomes = tuple(
            each if isinstance(each, FailedPhoto) else _rows(name, each, vectors)
            for name, each in zip(names, found, strict=True)
        )
        return BatchResult(outcomes, CpuSeconds(cut - begin, process_time() - cut))

    def _chips(self, name: str, read: ReadPhoto) -> tuple[Chip, ...] | FailedPhoto:
        try:
            return self._selected(read())
        except SampleError as error:
            return FailedPhoto(name, error.code, str(error))
        except OSError as error:
            code = NOT_FETCHED if isinstance(error, StoreUnavailable) else "not_readable"
            return FailedPhoto(name, code, f"the file cannot be read: {error.strerror or error}")
        except BulkError:  # about all photos, such as the settings of a store on this machine
            raise
        except Exception as error:  # noqa: BLE001 - among millions of photos one may trigger an unknown error
            return FailedPhoto(
                name, "unexpected", f"{type(error).__name__}: {error}; this is a bug in visavis: please report it"
            )

    def _selected(self, image: bytes) -> tuple[Chip, ...]:
        """The chips to embed; at least one, so that every photo has a row or is listed as failed."""
        if self._task.face != ALL_FACES:
            return (self._embedder.chip(image, face=self._task.face),)
        chips = self._embedder.chips(image)
        if not chips:
            raise NoFace
        return chips


def _rows(name: str, chips: Sequence[Chip], vectors: Iterator[NDArray[np.float32]]) -> tuple[FaceRow, ...]:
    return tuple(FaceRow(name, index, chip.sample, next(vectors)) for index, chip in enumerate(chips))
