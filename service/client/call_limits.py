"""The limits of one call: a deadline for all of it, and the bytes of an answer. A server may be hostile or broken.

httpx2's timeouts limit each wait only: a server that sends a byte now and then, or one informational answer after the
other, would hold a call for ever. `LimitedTransport` also applies the deadline to each wait on the socket.
"""

from asyncio import timeout
from collections.abc import Iterable, Iterator
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ssl import SSLContext
from time import monotonic

import httpcore2
import httpx2

from .retry import Outcome

HEADER_BYTES = 2**18  # beside the answer, also of informational answers before it
NO_TIME_S = 1e-3  # a socket's timeout must be greater than 0


@dataclass(slots=True)
class CallLimits:
    """The limits of one call that is under way; one object for all of its attempts."""

    max_bytes: int  # of the body of an answer
    ends_at_s: float  # of time.monotonic
    n_received: int = 0  # bytes from the socket in this attempt

    def left_s(self) -> float:
        """Return the time that is left, never less than 0."""
        return max(0.0, self.ends_at_s - monotonic())

    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.left_s() == 0.0

    def has_too_many(self) -> bool:
        """Whether this attempt received more bytes than an answer has, headers included."""
        return self.n_received > self.max_bytes + HEADER_BYTES

    def cap(self, request: httpx2.Request) -> None:
        """Shorten the request's timeouts to the time that is left."""
        left_s, given = max(self.left_s(), NO_TIME_S), request.extensions.get("timeout", {})
        waits = {name: given.get(name) for name in ("connect", "read", "write", "pool")}
        request.extensions["timeout"] = {
            name: left_s if wait_s is None else min(wait_s, left_s) for name, wait_s in waits.items()
        }

    def require(self, body: bytearray, request: httpx2.Request) -> None:
        """Raise a RequestError if the body of an answer is too long or comes too late."""
        if len(body) > self.max_bytes:
            raise self._too_many(request)
        if self.is_over():
            raise DeadlinePassed(request)

    def judged(self, error: httpx2.RequestError, request: httpx2.Request) -> httpx2.RequestError:
        """Return the error of an attempt, or the limit that was its cause."""
        if self.has_too_many():
            return self._too_many(request)
        return DeadlinePassed(request) if self.is_over() else error

    def _too_many(self, request: httpx2.Request) -> httpx2.DecodingError:
        return httpx2.DecodingError(f"it has more than {self.max_bytes:,} bytes", request=request)


class DeadlinePassed(httpx2.ReadTimeout):
    """The deadline of a call has passed."""

    def __init__(self, request: httpx2.Request) -> None:
        super().__init__("the deadline of the call has passed", request=request)


def attempt(http: httpx2.Client, request: httpx2.Request, limits: CallLimits) -> Outcome:
    """Send a request once and receive the answer, within the limits."""
    limits.cap(request)
    body = bytearray()
    try:
        with _applied(limits), closing(http.send(request, stream=True, follow_redirects=False)) as response:
            _require_plain(response)
            for part in response.iter_raw():
                body += part
                limits.require(body, request)
    except httpx2.RequestError as error:
        return limits.judged(error, request)
    return _whole(response, body)


async def attempt_async(http: httpx2.AsyncClient, request: httpx2.Request, limits: CallLimits) -> Outcome:
    """Do the same in asyncio."""
    limits.cap(request)
    body = bytearray()
    try:
        async with timeout(limits.left_s()), aclosing(await _sent(http, request)) as response:
            _require_plain(response)
            async for part in response.aiter_raw():
                body += part
                limits.require(body, request)
    except TimeoutError:
        return DeadlinePassed(request)
    except httpx2.RequestError as error:
        return limits.judged(error, request)
    return _whole(response, body)


async def _sent(http: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    return await http.send(request, stream=True, follow_redirects=False)


def _require_plain(response: httpx2.Response) -> None:
    """Raise DecodingError if an answer is compressed, which was not asked for: a small one may expand to gigabytes."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in {"", "identity"}:
        raise httpx2.DecodingError("it is compressed, though that was not asked for", request=response.request)


def _whole(response: httpx2.Response, body: bytearray) -> httpx2.Response:
    """Return a response with its body, of one whose body was streamed."""
    headers = [(name, value) for name, value in response.headers.raw if name.lower() == b"retry-after"]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=response.request)


_under_way: ContextVar[CallLimits | None] = ContextVar("call_limits", default=None)


@contextmanager
def _applied(limits: CallLimits) -> Iterator[None]:
    """Apply limits to the sockets of LimitedTransports that this thread uses in the block."""
    limits.n_received, token = 0, _under_way.set(limits)
    try:
        yield
    finally:
        _under_way.reset(token)


class LimitedTransport(httpx2.HTTPTransport):
    """An HTTP transport that uses no proxy and whose sockets keep to the limits under way."""

    def __init__(self) -> None:
        tls = httpx2.create_ssl_context(trust_env=False)
        super().__init__(verify=tls)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            max_connections=100,  # the numbers of httpx2's own default
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_Backend(),
        )


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: "Iterable[httpcore2.SOCKET_OPTION] | None" = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(host, port, _wait_s(timeout), local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream, self._socket = stream, stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data, limits = self._stream.read(max_bytes, _wait_s(timeout)), _under_way.get()
        if limits is not None:
            limits.n_received += len(data)
            if limits.has_too_many() or limits.is_over():
                raise httpcore2.ReadTimeout("the limits of the call are reached")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(_wait_s(timeout))  # anew for each part, however little the server takes
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _wait_s(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _wait_s(timeout_s: float | None) -> float | None:
    """The shorter of a timeout and of the time left, if limits are under way."""
    limits = _under_way.get()
    if limits is None:
        return timeout_s
    left_s = max(limits.left_s(), NO_TIME_S)
    return left_s if timeout_s is None else min(timeout_s, left_s)
