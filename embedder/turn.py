"""Threads that find faces take turns in Python, and compute at the same time.

Pillow and numpy let go of Python's own lock for every few microseconds of work. Two threads that find faces at the same
time take it from each other dozens of times a photo, and wait as often. So one of them has the turn until it comes
to a network or a decoder, which take longer and need no Python; there the other one goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

_turn, _own = Lock(), local()


@contextmanager
def taken() -> Iterator[None]:
    """Wait for the turn, and have it until the block ends."""
    with _turn:
        _own.has_turn = True
        try:
            yield
        finally:
            _own.has_turn = False


@contextmanager
def given_up() -> Iterator[None]:
    """Leave the turn to others until the block ends, if this thread has it."""
    if not getattr(_own, "has_turn", False):
        yield
        return
    _own.has_turn = False
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
        _own.has_turn = True
