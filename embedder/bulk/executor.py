"""Where batches of photos are embedded: the protocol, and the processes of this machine, one for each core.

A worker process exits when its parent process ends for any reason. Workers are processes, because much of face
detection is Python code, and threads would wait for the GIL.
"""

import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import Protocol

from ..loading import load
from ..runtime.runtime import n_cores
from .manifest import LIST_FILE, Manifest, blocks
from .output import BulkError, OutputFolder
from .workers import BatchResult, Task, Worker


@dataclass(frozen=True, slots=True)
class Batches:
    """The names of the photos of missing parts, batch by batch, as often as they are iterated over."""

    out: OutputFolder  # the folder with the list of photos
    manifest: Manifest
    missing: Mapping[int, int]  # the number of a part -> its number of photos
    batch: int  # photos

    def __len__(self) -> int:
        return sum(-(-n_photos // self.batch) for n_photos in self.missing.values())

    def __iter__(self) -> Iterator[Sequence[str]]:
        for number, block in zip(self.manifest.parts, blocks(self.out, self.manifest.block), strict=True):
            if number in self.missing:
                yield from (block[start : start + self.batch] for start in range(0, len(block), self.batch))

    def places(self) -> Iterator[str]:
        """For each batch, where its first photo stands in the list. It names the photo to its owner alone."""
        for at, number in enumerate(self.manifest.parts):
            for start in range(0, self.missing.get(number, 0), self.batch):
                yield f"line {at * self.manifest.block + start + 1:,} of {self.out}/{LIST_FILE}"


class Executor(Protocol):
    """Embeds batches of photos. It need not know parts, manifests or how far a run is."""

    @property
    def n_cores(self) -> int:
        """The number of cores that it works on."""

    def results(self, task: Task, batches: Batches) -> AbstractContextManager[Iterator[BatchResult]]:
        """The results of the batches in their order, while it works a bounded number of batches ahead.

        On an error or Ctrl-C inside the context all work ends at once. Raises BulkError.
        """


class ProcessPool:
    """Processes of this machine, at most one for each core."""

    @property
    def n_cores(self) -> int:
        """The cores that this process may use."""
        return n_cores()

    @contextmanager
    def results(self, task: Task, batches: Batches) -> Iterator[Iterator[BatchResult]]:
        """The results of the batches in their order. Raises BulkError."""
        n_processes = min(self.n_cores, len(batches))
        with _workers(task, n_processes) as pool:
            yield _in_order(pool, batches, n_processes)


_worker: Worker  # of this process


def _begin(task: Task) -> None:
    """Make this process a worker."""
    global _worker  # noqa: PLW0603 - a pool's processes have no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent handles it
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(task, load(task.model, running=task.running))


def _work(names: Sequence[str]) -> BatchResult:
    """Process a batch with this process's worker."""
    return _worker(names)


def _end_with_parent() -> None:
    """Exit when the parent ends: a killed parent cannot notify workers, which would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


AHEAD = 3  # batches per process: one running, one queued, one to balance photos of unequal size


@contextmanager
def _workers(task: Task, n_processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes; on an error or Ctrl-C they are killed at once."""
    others = set(active_children())
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), _begin, (task,))
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.kill()  # nothing is lost: they write nothing
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, batches: Batches, n_processes: int) -> Iterator[BatchResult]:
    """Process any number of batches and yield their results in order. Raises BulkError."""
    waiting: deque[tuple[str, Future[BatchResult]]] = deque()
    for place, batch in zip(batches.places(), batches, strict=True):
        waiting.append((place, _submitted(pool, batch, place)))
        if len(waiting) >= AHEAD * n_processes:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _submitted(pool: ProcessPoolExecutor, batch: Sequence[str], place: str) -> Future[BatchResult]:
    try:
        return pool.submit(_work, batch)
    except BrokenProcessPool as error:
        raise _lost(place) from error


def _result(place: str, future: Future[BatchResult]) -> BatchResult:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _lost(place) from error


def _lost(place: str) -> BulkError:
    return BulkError(
        f"a worker process was killed, possibly for lack of memory, at or soon after the photo in {place}; run it "
        "again: completed work is kept"
    )
