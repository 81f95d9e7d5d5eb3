"""Parallel map over all cores, with results in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from embedder import Advance, n_cores


@contextmanager
def one_core_threads() -> Iterator[ThreadPoolExecutor]:
    """Provide a thread pool with one thread per core and torch on one core in each; on exit, cancel pending work."""
    n_before = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_cores(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)


BATCH = 16  # items per task of a thread

T = TypeVar("T")
R = TypeVar("R")


def on_every_core(
    work: Callable[[T], R], items: Sequence[T], pool: ThreadPoolExecutor, advance: Advance
) -> Iterator[R]:
    """Yield the results in the order of the items."""

    def batch_of(batch: Sequence[T]) -> list[R]:
        return [work(item) for item in batch]

    for results in pool.map(batch_of, [items[start : start + BATCH] for start in range(0, len(items), BATCH)]):
        advance(len(results))
        yield from results
