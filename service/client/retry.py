"""The retry policy: whether to repeat a call, and after which pause. The clients do the waiting.

Every call may be repeated, because the service stores nothing, or does a repeated enrolment once. The others that
write to a gallery are not repeated if the connection is lost: the service may have done them.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx2

LONGEST_RETRY_AFTER_S = 86_400.0  # a longer one is nonsense, or hostile
MAX_DIGITS, MAX_DATE = 20, 64  # characters that are read of a Retry-After

Outcome = httpx2.Response | httpx2.RequestError  # of one attempt

# The request did not arrive, or its answer was lost. Read timeouts are not among them: the service may still compute
# the request, and a retry would double the work.
LOST = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Retry:
    """The retry policy for a busy service (503), a limit that is reached (429) and for lost connections.

    The pause after attempt n is uniform between half and all of min(longest_pause_s, first_pause_s * 2**(n-1)).
    A `Retry-After` is always waited for in full; one longer than `longest_pause_s` ends the attempts at once.
    `attempts=1` disables retries.
    """

    attempts: int = 4  # including the first
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0
    rng: random.Random = field(
        default_factory=random.SystemRandom, repr=False
    )  # forked processes must not share its state
    now_s: Callable[[], float] = field(
        default=time.time, repr=False
    )  # seconds since 1970, for a Retry-After that is a date

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.first_pause_s <= self.longest_pause_s:
            raise ValueError("a Retry needs attempts >= 1 and 0 <= first_pause_s <= longest_pause_s")

    def pause_s(self, n_made: int, outcome: Outcome) -> float | None:
        """Return the seconds to wait after attempt `n_made`; None = this outcome is final."""
        if n_made >= self.attempts or not _is_passing(outcome):
            return None
        asked_s = self.retry_after_s(outcome) if isinstance(outcome, httpx2.Response) else None
        if asked_s is None:
            return self._spread(self.first_pause_s * 2.0 ** min(n_made - 1, 60))
        if asked_s > self.longest_pause_s:
            return None
        return asked_s + self._spread(self.first_pause_s)  # refused clients must not all return at the same moment

    def retry_after_s(self, response: httpx2.Response) -> float | None:
        """Return the answer's `Retry-After` in seconds, 0 to one day; None if it is missing or invalid."""
        value = response.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:MAX_DIGITS]), LONGEST_RETRY_AFTER_S)
        try:
            after_s = parsedate_to_datetime(value[:MAX_DATE]).timestamp() - self.now_s()
        except (ValueError, TypeError, OverflowError, OSError):  # all of them occur, for dates that do not exist
            return None
        return min(max(0.0, after_s), LONGEST_RETRY_AFTER_S)

    def _spread(self, pause_s: float) -> float:
        bounded = min(pause_s, self.longest_pause_s)
        return self.rng.uniform(bounded / 2, bounded)


def _is_passing(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx2.Response):
        return outcome.status_code in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)
    return isinstance(outcome, LOST)
