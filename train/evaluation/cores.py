"""A thread for each core that this process may use."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


def n_threads(most: int | None = None) -> int:
    """Return the number of cores that this process may use, at most `most`."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return n_cores if most is None else min(n_cores, most)


@contextmanager
def one_core_threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, with torch on one core in each; work that is not begun is given up on the way out."""
    n_before = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)
