"""Limits on requests of keys and addresses, by the library `limits`: sliding windows, counted in memory."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import floor
from typing import Literal, Protocol, TypeAlias

from limits import RateLimitItem, parse
from limits.storage import SlidingWindowCounterSupport, Storage
from limits.storage.base import TimestampedSlidingWindow
from limits.strategies import SlidingWindowCounterRateLimiter

from ..errors import RateLimited
from .caller import network_of
from .keys import KeyRecord

MAX_COUNTERS = 50_000  # of addresses; some 15 MB
FAILED_KEYS = "60/minute"  # requests of one address that have no valid key

CounterPool: TypeAlias = Literal["address", "key"]  # apart, so that many addresses do not push out the counters of keys


class BoundedStorage(Storage, SlidingWindowCounterSupport, TimestampedSlidingWindow):
    """Counters in memory; the one that was used least recently is forgotten when there are too many.

    The library's own storage has no bound, and looks at all counters for each request.
    """

    STORAGE_SCHEME = None

    def __init__(self, max_counters: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._max_counters, self._clock = max_counters, clock
        self._counts: OrderedDict[str, int] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """The library's: nothing fails here."""
        return ValueError

    def incr(self, key: str, _expiry: float, amount: int = 1) -> int:
        """Add to a counter, and return it; the name of a counter has its window, so it needs no expiry."""
        self._counts[key] = self.get(key) + amount
        self._counts.move_to_end(key)
        while len(self._counts) > self._max_counters:
            self._counts.popitem(last=False)
        return self._counts[key]

    def get(self, key: str) -> int:
        """Return a counter."""
        return self._counts.get(key, 0)

    def get_expiry(self, _key: str) -> float:
        """Return the time now: a counter ends with its window."""
        return self._clock()

    def check(self) -> bool:
        """Return True: memory is there."""
        return True

    def reset(self) -> int:
        """Forget all counters, and return how many there were."""
        n_counters = len(self._counts)
        self._counts.clear()
        return n_counters

    def clear(self, key: str) -> None:
        """Forget a counter."""
        self._counts.pop(key, None)

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request if the limit allows it."""
        before, before_ttl, now, _ = self.get_sliding_window(key, expiry)
        if floor(before * before_ttl / expiry + now) + amount > limit:
            return False
        self.incr(self.sliding_window_keys(key, expiry, self._clock())[1], expiry, amount)
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the counts of the last window and of this one, and the seconds that each still counts."""
        at = self._clock()
        before, now = (self.get(name) for name in self.sliding_window_keys(key, expiry, at))
        left_s = expiry - at % expiry
        return before, left_s, now, left_s + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both windows."""
        for name in self.sliding_window_keys(key, expiry, self._clock()):
            self.clear(name)


@dataclass(frozen=True, slots=True)
class Window:
    """A limit as a caller meets it: its name in the headers, the limit like 600/minute, and who is counted."""

    name: str
    limit: str
    whose: str = field(repr=False)

    @property
    def item(self) -> RateLimitItem:
        """The limit as the library has it."""
        return _parsed(self.limit)

    @property
    def length_s(self) -> int:
        """Seconds of the window."""
        return int(self.item.get_expiry())

    @property
    def policy(self) -> str:
        """The limit in the words of RateLimit-Policy."""
        return f'"{self.name}";q={self.item.amount};w={self.length_s}'


@dataclass(frozen=True, slots=True)
class Counted:
    """The headers that tell what is left, and if a limit was reached, which one and when to ask again."""

    headers: dict[str, str]
    reached: str | None = None  # in words
    retry_after_s: int = 0


class RateCounting(Protocol):
    """Counts requests: in this process, or for several."""

    def count(self, pool: CounterPool, windows: Sequence[Window]) -> Counted:
        """Count a request in all windows, or in none if one is full."""
        ...


class RateCounter:
    """Counts in memory. Not thread-safe."""

    def __init__(self, max_counters: int = MAX_COUNTERS, clock: Callable[[], float] = time.time) -> None:
        self._limiters: dict[CounterPool, SlidingWindowCounterRateLimiter] = {
            "address": SlidingWindowCounterRateLimiter(BoundedStorage(max_counters, clock)),
            "key": SlidingWindowCounterRateLimiter(BoundedStorage(max_counters, clock)),
        }

    def count(self, pool: CounterPool, windows: Sequence[Window]) -> Counted:
        """See `RateCounting`."""
        limiter = self._limiters[pool]
        waits = {window: _wait_s(limiter, window) for window in windows}
        full = [window for window in windows if waits[window] > 0]
        if full:
            slowest = max(full, key=lambda window: waits[window])
            return Counted(_headers(limiter, windows), _in_words(slowest.item), floor(waits[slowest]) + 1)
        for window in windows:
            limiter.hit(window.item, window.name, window.whose)
        return Counted(_headers(limiter, windows))


class RateLimits:
    """The limits of a service; `counter` counts the requests."""

    def __init__(
        self, of_key: str | None = None, of_address: str | None = None, counter: RateCounting | None = None
    ) -> None:
        self._of_key, self._of_address = of_key, of_address
        self._counter = counter or RateCounter()

    def count_address(self, address: str) -> dict[str, str]:
        """Count a request of an address; return the headers that tell what is left. Raises RateLimited."""
        return self._count("address", [("address", self._of_address)], network_of(address))

    def count_key(self, record: KeyRecord) -> dict[str, str]:
        """Count a request of a key, as `count_address` does."""
        return self._count("key", [("key", record.rate or self._of_key), ("quota", record.quota)], record.id)

    def count_failure(self, address: str) -> None:
        """Count a request without a valid key. Raises RateLimited if the address has sent too many."""
        self._count("address", [("failures", FAILED_KEYS)], network_of(address))

    def _count(self, pool: CounterPool, limits: Sequence[tuple[str, str | None]], whose: str) -> dict[str, str]:
        windows = [Window(name, limit, whose) for name, limit in limits if limit]
        if not windows:
            return {}
        counted = self._counter.count(pool, windows)
        if counted.reached is None:
            return counted.headers
        error = RateLimited(counted.reached, counted.retry_after_s)
        error.headers |= counted.headers
        raise error


def joined(*headers: dict[str, str]) -> dict[str, str]:
    """Join the RateLimit headers of several limits."""
    names = dict.fromkeys(name for each in headers for name in each)
    return {name: ", ".join(each[name] for each in headers if name in each) for name in names}


@lru_cache(maxsize=4096)
def _parsed(limit: str) -> RateLimitItem:
    return parse(limit)


def _in_words(item: RateLimitItem) -> str:
    return f"{item.amount:,} requests per {item.GRANULARITY.name}"


def _counts(limiter: SlidingWindowCounterRateLimiter, window: Window) -> tuple[int, float, int, float]:
    storage = limiter.storage
    assert isinstance(storage, BoundedStorage)  # noqa: S101 - for mypy: RateLimits makes no other
    return storage.get_sliding_window(window.item.key_for(window.name, window.whose), window.length_s)


def _wait_s(limiter: SlidingWindowCounterRateLimiter, window: Window) -> float:
    """Return the seconds until one more request fits; 0 = now. The last window counts by its share that is left."""
    before, left_s, now, _ = _counts(limiter, window)
    limit, length_s = window.item.amount, window.length_s
    if floor(before * left_s / length_s + now) < limit:
        return 0.0
    if now < limit:
        return left_s - (limit - now) * length_s / before
    return left_s


def _headers(limiter: SlidingWindowCounterRateLimiter, windows: Sequence[Window]) -> dict[str, str]:
    """Tell limits and what is left, as draft-ietf-httpapi-ratelimit-headers-10 does."""
    left = []
    for window in windows:
        before, left_s, now, _ = _counts(limiter, window)
        remaining = max(0, window.item.amount - floor(before * left_s / window.length_s + now))
        left.append(f'"{window.name}";r={remaining};t={floor(left_s) + 1}')
    return {"RateLimit-Policy": ", ".join(window.policy for window in windows), "RateLimit": ", ".join(left)}
