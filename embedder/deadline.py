"""The time limit of work in progress, checked between its steps. Without `use_deadline` there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from .errors import DeadlineExceeded


@dataclass(slots=True)
class Deadline:
    """The time by which work must end, on the clock of `time.monotonic`; `cancel` ends it earlier. Thread-safe."""

    limit_s: float
    is_cancelled: bool = field(default=False, init=False)
    _end_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._end_s = time.monotonic() + self.limit_s

    @property
    def remaining_s(self) -> float:
        """Seconds left; 0 if there are none, or if the work was cancelled."""
        return 0.0 if self.is_cancelled else max(0.0, self._end_s - time.monotonic())

    def cancel(self) -> None:
        """Stop the work at its next check, because nobody waits for its result."""
        self.is_cancelled = True


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def use_deadline(deadline: Deadline) -> Iterator[None]:
    """Apply a deadline to the work inside; another thread has it if it runs in a copy of the context."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def current_deadline() -> Deadline | None:
    """Return the deadline of this context, None if it has none."""
    return _current.get()


def check_deadline() -> None:
    """Raise DeadlineExceeded if the deadline of this context is over."""
    deadline = _current.get()
    if deadline is not None and deadline.remaining_s == 0:
        raise DeadlineExceeded(deadline.limit_s)
