"""Work on every core, its results in the order in which it was given."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..evaluation.progress import Advance

BATCH = 16  # photos that a thread takes at a time

T = TypeVar("T")
R = TypeVar("R")


def on_every_core(
    work: Callable[[T], R], items: Sequence[T], pool: ThreadPoolExecutor, advance: Advance
) -> Iterator[R]:
    """Give the results in the order of the items."""

    def batch_of(batch: Sequence[T]) -> list[R]:
        return [work(item) for item in batch]

    for results in pool.map(batch_of, [items[start : start + BATCH] for start in range(0, len(items), BATCH)]):
        advance(len(results))
        yield from results
