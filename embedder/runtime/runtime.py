"""The protocol of runtimes, dynamic batching, the number of cores, and threads on all of them.

Requests are batched without a timer: a request runs at once if no pass is running. Requests that arrive during a pass
form the next batch.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..types import Chips, Inputs, Pass, Precision, Vectors
from ..weights.bundle import Bundle

ItemT = TypeVar("ItemT")
T = TypeVar("T")


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CoreThreads:
    """Threads that work beside the calling one, so that all cores are in use. They have the caller's context."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(max(1, n_cores() - 1), name)  # plus the calling thread

    @contextmanager
    def begun(self, task: Callable[[ItemT], T], items: Sequence[ItemT]) -> Iterator[Callable[[], list[T]]]:
        """Begin a task for each item; yields a function that helps the threads and returns all results."""
        slots = [[item] for item in items]
        others = [self._threads.submit(copy_context().run, _of_slot, task, slot) for slot in slots]
        try:
            yield partial(_shared, task, items, others)
        finally:
            for each, slot in zip(others, slots, strict=True):
                if each.cancel():
                    slot.clear()  # a cancelled task stays in the threads' queue, and must not keep an image there

    def close(self) -> None:
        """Stop the threads; each finishes its current item first."""
        self._threads.shutdown(cancel_futures=True)


def _of_slot(task: Callable[[ItemT], T], slot: Sequence[ItemT]) -> T:
    (item,) = slot
    return task(item)


def _shared(task: Callable[[ItemT], T], items: Sequence[ItemT], others: Sequence[Future[T]]) -> list[T]:
    """Work in this thread, starting from the last, on the items that no other thread has started on."""
    done_here = {place: task(items[place]) for place in reversed(range(len(others))) if others[place].cancel()}
    return [done_here[place] if place in done_here else each.result() for place, each in enumerate(others)]


MAX_BATCH = 8  # chips per pass; bounds memory, and larger batches are no faster on a CPU: benchmarks/batch_sizes.py


class Runtime(Protocol):
    """Loads networks. The loaded networks are thread-safe."""

    def embedding(self, bundle: Bundle) -> "EmbeddingSession":
        """Load the network of a bundle. Raises BundleError or RuntimeUnavailable if this runtime cannot run it."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingSession:
    """A bundle's network, run in passes of at most MAX_BATCH chips."""

    one: Pass
    precision: Precision
    description: str  # runtime, precision, device; embeddings of different ones are not bit-identical

    @property
    def batch_sizes(self) -> Mapping[int, int]:
        """Chips of a pass -> number of passes until now; empty if the runtime does not batch. It goes on to change."""
        return self.one.batch_sizes if isinstance(self.one, DynamicBatcher) else {}

    def __call__(self, chips: Chips) -> Vectors:
        """Map uint8 chips (n, side, side, 3) to float32 (n, channels)."""
        return np.concatenate(
            [self.one(chips[start : start + MAX_BATCH])[0] for start in range(0, len(chips), MAX_BATCH)]
        )


Outputs = tuple[NDArray[np.float32], ...]


class DynamicBatcher:
    """A Pass that batches the concurrent calls of any number of threads, in order of arrival."""

    def __init__(self, one: Pass) -> None:
        self._one = one
        self.batch_sizes: Counter[int] = Counter()  # chips -> passes
        self._waiting: deque[_Request] = deque()
        self._under_way = Lock()

    def __call__(self, pixels: Inputs) -> Outputs:
        """Run the network on `pixels`, possibly batched with other calls. Raises the errors of the pass."""
        place = _Request(pixels)
        self._waiting.append(place)
        while place.outcome is None:
            with self._under_way:
                if place.outcome is None:
                    self._run(self._next_few())
        if isinstance(place.outcome, Exception):
            raise place.outcome
        return place.outcome

    def _next_few(self) -> list["_Request"]:
        """Take the first request, and the next ones that fit into the same batch. Requires the lock."""
        few = [self._waiting.popleft()]
        n_chips = len(few[0].pixels)
        while self._waiting and n_chips + len(self._waiting[0].pixels) <= MAX_BATCH:
            few.append(self._waiting.popleft())
            n_chips += len(few[-1].pixels)
        self.batch_sizes[n_chips] += 1
        return few

    def _run(self, few: list["_Request"]) -> None:
        try:
            outputs = self._one(np.concatenate([place.pixels for place in few]) if len(few) > 1 else few[0].pixels)
        except Exception as error:  # noqa: BLE001 - raised in each thread that waits for it
            for place in few:
                place.outcome = error
            return
        start = 0
        for place in few:
            end = start + len(place.pixels)
            place.outcome = tuple(output[start:end] for output in outputs)
            start = end


class _Request:
    """The pixels of one waiting thread, and their outcome."""

    def __init__(self, pixels: Inputs) -> None:
        self.pixels = pixels
        self.outcome: Outputs | Exception | None = None
