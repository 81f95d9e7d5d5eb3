"""A clock that a test sets."""

from datetime import UTC, datetime

START = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Clock:
    """Tells the time `now`, which a test changes."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now
