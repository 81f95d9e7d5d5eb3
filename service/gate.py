"""How much is taken on at a time: places for requests, and threads for the work. More than that is refused at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from .errors import Busy

T = TypeVar("T")


class ConcurrencyLimiter:
    """Lets in `max_concurrent` + `max_waiting` requests, of which `max_concurrent` are worked on at a time."""

    def __init__(self, *, max_concurrent: int, max_waiting: int) -> None:
        self._n_places = max_concurrent + max_waiting
        self._n_taken = 0
        self._workers = CapacityLimiter(max_concurrent)

    @property
    def n_taken(self) -> int:
        """How many places are taken now."""
        return self._n_taken

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, from before the body is read: so the bodies held in memory are limited too.

        Raises Busy when every place is taken. Left by an exception or a cancellation, the place is free again.
        """
        if self._n_taken >= self._n_places:
            raise Busy
        self._n_taken += 1
        try:
            yield
        finally:
            self._n_taken -= 1

    async def work(self, task: Callable[[], T]) -> T:
        """Run `task` in a thread, when one is free. Cancelled while it waits, it never runs; once it runs, it ends."""
        return await to_thread.run_sync(task, limiter=self._workers)
