"""When to ask again, and after how long. Decides only; the clients do the waiting.

Every call may be repeated: the service keeps nothing, so asking twice changes nothing.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx2

Outcome = httpx2.Response | httpx2.RequestError  # what one attempt ends in

# The request did not arrive, or its answer was lost on the way. A read that timed out is neither: the service may still
# be at work on it, and asking again would double that work.
LOST = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Retry:
    """How patient a client is with a busy service (503) and with lost connections.

    The pause after attempt n is drawn evenly from half to all of min(longest_pause_s, first_pause_s * 2**(n-1)).
    A `Retry-After` is waited for, never cut short: one beyond `longest_pause_s` ends the attempts at once.
    `attempts=1` never asks again.
    """

    attempts: int = 4  # in all, the first included
    first_pause_s: float = 0.25
    longest_pause_s: float = 8.0
    rng: random.Random = field(
        default_factory=random.SystemRandom, repr=False
    )  # forked processes must not wait in step
    now_s: Callable[[], float] = field(
        default=time.time, repr=False
    )  # seconds since 1970, for a Retry-After that is a date

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.first_pause_s <= self.longest_pause_s:
            raise ValueError("a Retry has attempts >= 1 and 0 <= first_pause_s <= longest_pause_s")

    def pause_s(self, n_made: int, outcome: Outcome) -> float | None:
        """Seconds to wait before the next attempt, after `n_made` of them; None = this outcome is final."""
        if n_made >= self.attempts or not _is_passing(outcome):
            return None
        asked_s = self.retry_after_s(outcome) if isinstance(outcome, httpx2.Response) else None
        if asked_s is None:
            return self._spread(self.first_pause_s * 2.0 ** min(n_made - 1, 60))
        if asked_s > self.longest_pause_s:
            return None
        return asked_s + self._spread(self.first_pause_s)  # all who were sent away must not come back at one moment

    def retry_after_s(self, response: httpx2.Response) -> float | None:
        """Seconds that the answer asks to wait, 0 or more; None if it does not say, or says what nobody can read."""
        value = response.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self.now_s())
        except ValueError:
            return None

    def _spread(self, pause_s: float) -> float:
        bounded = min(pause_s, self.longest_pause_s)
        return self.rng.uniform(bounded / 2, bounded)


def _is_passing(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx2.Response):
        return outcome.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    return isinstance(outcome, LOST)
