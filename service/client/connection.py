"""Where a client's HTTP connections come from: made here for an address, or the caller's own. Sends nothing."""

from dataclasses import dataclass, field
from typing import TypeVar

import httpx2

from .exchange import origin_of

TIMEOUT_S = 30.0  # large photos on a slow and busy machine take seconds, not half a minute

HttpT = TypeVar("HttpT", httpx2.Client, httpx2.AsyncClient)


@dataclass(frozen=True, slots=True)
class Address:
    """A service's address; name and password stand apart, since the HTTP library logs every address it asks."""

    base_url: str
    auth: tuple[str, str] | None = field(repr=False)


def address_of(base_url: str | None) -> Address:
    """Check an address like http://127.0.0.1:8000; no error repeats it, since it may hold a password."""
    try:
        url = httpx2.URL(base_url or "")
    except httpx2.InvalidURL:
        raise ValueError("base_url is not an address; it looks like http://127.0.0.1:8000") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("base_url is not an http address; it looks like http://127.0.0.1:8000")
    if url.query or url.fragment:
        raise ValueError("base_url ends before any ? or #")
    return Address(origin_of(url) + url.path, (url.username, url.password) if url.userinfo else None)


def open_blocking(base_url: str | None, http: httpx2.Client | None, timeout_s: float | None) -> httpx2.Client:
    """Return the HTTP client of a FaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.Client)
    address = address_of(base_url)
    return httpx2.Client(base_url=address.base_url, auth=address.auth, timeout=TIMEOUT_S, trust_env=False)


def open_async(base_url: str | None, http: httpx2.AsyncClient | None, timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client of an AsyncFaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.AsyncClient)
    address = address_of(base_url)
    return httpx2.AsyncClient(base_url=address.base_url, auth=address.auth, timeout=TIMEOUT_S, trust_env=False)


def _callers_own(http: HttpT, kind: type[HttpT]) -> HttpT:
    if not isinstance(http, kind):
        raise TypeError(f"http is an httpx2.{kind.__name__} here, not {type(http).__name__}")
    if not http.base_url.host:
        raise ValueError("http does not know the service's address; make it with base_url=")
    return http


def _check(base_url: str | None, http: object, timeout_s: float | None) -> None:
    if (base_url is None) == (http is None):
        raise TypeError("give base_url or http=, one of the two")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s is above 0, not {timeout_s}")
