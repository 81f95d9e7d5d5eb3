"""A process that takes batches of photos from their files to their embeddings, on one core.

It ends when the process that started it does, however that ended.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from time import process_time

import numpy as np

from ..errors import SampleError
from ..image import image_file
from ..loading import load
from ..pipeline import FaceEmbedder
from ..runtime.choice import RuntimeOptions
from ..types import Chip, FaceChoice
from .outcome import BatchResult, CpuSeconds, EmbeddedPhoto, FailedPhoto

BATCH = 32  # photos, which the network embeds in one pass


@dataclass(frozen=True, slots=True)
class Task:
    """What all batches of a run have in common."""

    start: Path  # from which the photos' names go
    model: str | None  # a bundle; None: the built-in one
    running: RuntimeOptions
    face: FaceChoice


class Worker:
    """A model with a task."""

    def __init__(self, task: Task, embedder: FaceEmbedder) -> None:
        self._task, self._embedder = task, embedder

    def __call__(self, names: Sequence[str]) -> BatchResult:
        """Embed photos; one that cannot be used costs the others nothing."""
        begin = process_time()
        found = [self._chip(name) for name in names]
        chips = [each.pixels for each in found if isinstance(each, Chip)]
        cut = process_time()
        vectors = iter(self._embedder.embed_faces(np.stack(chips)) if chips else ())
        outcomes = tuple(
            EmbeddedPhoto(name, each.sample, next(vectors)) if isinstance(each, Chip) else each
            for name, each in zip(names, found, strict=True)
        )
        return BatchResult(outcomes, CpuSeconds(cut - begin, process_time() - cut))

    def _chip(self, name: str) -> Chip | FailedPhoto:
        try:
            return self._embedder.chip(image_file(self._task.start / name), face=self._task.face)
        except SampleError as error:
            return FailedPhoto(name, error.code, str(error))
        except OSError as error:
            return FailedPhoto(name, "not_readable", f"the file cannot be read: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001 - among millions of photos one may be odder than all we have seen
            return FailedPhoto(
                name, "unexpected", f"{type(error).__name__}: {error}; this is a mistake of ours: report it"
            )


_worker: Worker  # of this process


def begin(task: Task) -> None:
    """Make this process a worker."""
    global _worker  # noqa: PLW0603 - a pool's processes have no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the one that started us sees to the rest
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(task, load(task.model, running=task.running))


def work(names: Sequence[str]) -> BatchResult:
    """Have this process's worker take a batch."""
    return _worker(names)


def _end_with_parent() -> None:
    """A parent that was killed can tell nobody, and work would be waited for without end."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
