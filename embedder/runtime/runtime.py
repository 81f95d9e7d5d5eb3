"""What runs networks, as all else knows it: a small protocol, a dynamic batcher for it, and the number of cores.

Requests are batched without a timer: one that comes while no pass is under way runs at once, and those that come
meanwhile are the next batch.
"""

import os
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..types import Chips, Inputs, Pass, Precision, Vectors
from ..weights.bundle import Bundle


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MAX_BATCH = 64  # chips a pass; bounds memory, and larger batches are no faster on a CPU


class Runtime(Protocol):
    """Makes networks ready to run. What it makes is safe to call from several threads."""

    def embedding(self, bundle: Bundle) -> "EmbeddingNetwork":
        """The network of a bundle. Raises BundleError or RuntimeUnavailable where this runtime cannot run it."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingNetwork:
    """A bundle's network, in passes of bounded size."""

    one: Pass
    precision: Precision
    description: str  # runtime, precision, device; embeddings of another one are not the same to the last bit

    def __call__(self, chips: Chips) -> Vectors:
        """Map uint8 chips (n, side, side, 3) to float32 (n, 128)."""
        return np.concatenate(
            [self.one(chips[start : start + MAX_BATCH])[0] for start in range(0, len(chips), MAX_BATCH)]
        )


Outputs = tuple[NDArray[np.float32], ...]


class DynamicBatcher:
    """A network that is a Pass itself, for any number of threads; first come, first served."""

    def __init__(self, one: Pass) -> None:
        self._one = one
        self._waiting: deque[_Request] = deque()
        self._under_way = Lock()

    def __call__(self, pixels: Inputs) -> Outputs:
        """Run it: what it gives for these pixels, whoever else's went with them. Raises what the pass raises."""
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
        """Take the first, and those behind it that find room beside it. Only for who holds the lock."""
        few = [self._waiting.popleft()]
        n_chips = len(few[0].pixels)
        while self._waiting and n_chips + len(self._waiting[0].pixels) <= MAX_BATCH:
            few.append(self._waiting.popleft())
            n_chips += len(few[-1].pixels)
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
    """What one thread waits for."""

    def __init__(self, pixels: Inputs) -> None:
        self.pixels = pixels
        self.outcome: Outputs | Exception | None = None
