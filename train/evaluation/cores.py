"""A thread for each core that this process may use."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from embedder import n_cores


@contextmanager
def one_core_threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core, with torch on one core in each; work that is not begun is given up on the way out."""
    n_before = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_cores(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)
