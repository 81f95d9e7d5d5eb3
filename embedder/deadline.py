"""The limits of work in progress, checked between its steps: time and pixels. Without `use_deadline` there are none.

Between two steps work also gives way to more urgent work, if it is told to.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock

from .errors import DeadlineExceeded, ImageTooLarge

LONGEST_PAUSE_S = 0.1  # before one step


class Deadline:
    """The time by which work must end, on the clock of `time.monotonic`; `cancel` ends it earlier. Thread-safe.

    `max_pixels`: of all images of the work together, None for any number.
    """

    def __init__(self, limit_s: float, max_pixels: int | None = None) -> None:
        self.limit_s, self.max_pixels = limit_s, max_pixels
        self.is_cancelled = False
        self._end_s = time.monotonic() + limit_s
        self._n_pixels, self._lock = 0, Lock()
        self._may_go_on = Event()
        self._may_go_on.set()

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 if there are none, or if the work was cancelled."""
        return 0.0 if self.is_cancelled else max(0.0, self._end_s - time.monotonic())

    def cancel(self) -> None:
        """Stop the work at its next check, because nobody waits for its result."""
        self.is_cancelled = True

    def pause(self, *, is_paused: bool) -> None:
        """Let the work wait before its next step, or go on."""
        if is_paused:
            self._may_go_on.clear()
        else:
            self._may_go_on.set()

    def give_way(self) -> None:
        """Wait while the work is paused, for at most LONGEST_PAUSE_S: it may hold what more urgent work waits for."""
        self._may_go_on.wait(min(LONGEST_PAUSE_S, self.remaining_s))

    def count_pixels(self, n_pixels: int) -> None:
        """Count the pixels of an image. Raises ImageTooLarge if there are too many, and at each later call."""
        with self._lock:
            self._n_pixels += n_pixels
            total = self._n_pixels
        if self.max_pixels is not None and total > self.max_pixels:
            raise ImageTooLarge(total, self.max_pixels, "pixels together with the others of the request")


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def use_deadline(deadline: Deadline) -> Iterator[None]:
    """Apply a deadline to the work inside; another thread has it if it runs in a copy of the context."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def time_left_s(most_s: float) -> float:
    """Return how long something may be waited for in this context: `most_s`, or less if the deadline is sooner."""
    deadline = _current.get()
    return most_s if deadline is None else min(most_s, deadline.remaining_s)


def check_deadline() -> None:
    """Raise DeadlineExceeded if the deadline of this context is over."""
    deadline = _current.get()
    if deadline is not None and deadline.remaining_s == 0:
        raise DeadlineExceeded(deadline.limit_s)


def begin_step() -> None:
    """Give way to more urgent work, and check the deadline. Call it without any lock. Raises DeadlineExceeded."""
    deadline = _current.get()
    if deadline is not None:
        deadline.give_way()
    check_deadline()


@contextmanager
def holding(lock: Lock) -> Iterator[None]:
    """Hold a lock; while waiting for it, check the deadline of this context. Raises DeadlineExceeded."""
    while not lock.acquire(timeout=LONGEST_PAUSE_S):
        check_deadline()
    try:
        yield
    finally:
        lock.release()


def count_pixels(n_pixels: int) -> None:
    """Check the deadline of this context, and count the pixels of an image for its limit.

    Raises DeadlineExceeded, or ImageTooLarge if the pixels are too many.
    """
    check_deadline()
    deadline = _current.get()
    if deadline is not None:
        deadline.count_pixels(n_pixels)
