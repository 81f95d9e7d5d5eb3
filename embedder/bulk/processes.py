"""A worker process for each core, and batches to them, as many ahead as keep them busy and no more.

Processes, because finding faces is in good part Python: threads would wait for each other.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import active_children, get_context

from .files import BulkError
from .outcome import BatchResult
from .worker import Task, begin, work

AHEAD = 3  # batches to each process: one at work, one waiting, one to make up for unequal photos


@contextmanager
def workers(task: Task, n_processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes with one thread each; on the way out by an error or Ctrl-C they are ended at once."""
    alone = replace(task, running=replace(task.running, threads=1))
    others = set(active_children())
    pool = ProcessPoolExecutor(n_processes, get_context("spawn"), begin, (alone,))
    try:
        yield pool
    except BaseException:
        for process in set(active_children()) - others:
            process.kill()  # nothing is lost: they write nothing
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(pool: ProcessPoolExecutor, batches: Iterable[Sequence[str]], n_processes: int) -> Iterator[BatchResult]:
    """Give what becomes of batches in their order, however many there are. Raises BulkError."""
    waiting: deque[tuple[Sequence[str], Future[BatchResult]]] = deque()
    for batch in batches:
        waiting.append((batch, _submitted(pool, batch)))
        if len(waiting) >= AHEAD * n_processes:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _submitted(pool: ProcessPoolExecutor, batch: Sequence[str]) -> Future[BatchResult]:
    try:
        return pool.submit(work, batch)
    except BrokenProcessPool as error:
        raise _lost(batch) from error


def _result(batch: Sequence[str], future: Future[BatchResult]) -> BatchResult:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _lost(batch) from error


def _lost(batch: Sequence[str]) -> BulkError:
    return BulkError(
        f"a worker process was ended from outside, or for lack of memory, at or soon after {batch[0]!a}; "
        "run it again: what is done already is kept"
    )
