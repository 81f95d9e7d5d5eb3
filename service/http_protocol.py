"""uvicorn's HTTP/1.1 protocol with limits on what one client may hold: connections, time, and slow or unread bytes.

It answers what never reaches the app (invalid HTTP, too many connections) with problems, like the app itself.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import Any, ClassVar, cast

import h11
from anyio import move_on_after
from starlette.types import Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .errors import BodyTooSlow, Busy, MalformedRequest, ServiceError
from .http_framing import MAX_HEAD_BYTES, StrictConnection
from .problems import problem_response
from .request_context import ALWAYS, UNLESS_SET, new_request_id
from .request_execution import SLOW_RATE, SLOW_S

RATE_WINDOW_S = 5.0  # in each, a body and the reading of an answer must come to the least rate
LINGER_S = 5.0  # for a client to read the answer to a request whose body is not read
LINGER_BYTES = 64 * 2**20
CLOSE = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What the connections of all clients may take; rates are in bytes per second."""

    max_connections: int
    header_timeout_s: float
    idle_timeout_s: float
    min_body_rate: int


class LingeringTransport(asyncio.Transport):
    """A connection's transport that closes in two steps, so that the client can read the answer to an unread body.

    A socket that is closed with unread bytes in it is reset, and the client then loses an answer on its way. So the
    service ends its own side first, and throws away what still arrives until the client closes.
    """

    def __init__(self, transport: asyncio.Transport, clock: Callable[[], float]) -> None:
        super().__init__()
        self._transport, self._clock = transport, clock
        self._n_written = self._n_discarded = 0
        self._window: tuple[float, int] | None = None  # when it began, and how much had been sent then
        self._flushed_at: float | None = None
        self.is_ending = self.is_cut = False

    def is_closing(self) -> bool:
        """Whether the service has closed its side."""
        return self.is_ending or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, unless the connection is closing."""
        if not self.is_closing():
            self._n_written += len(data)
            self._transport.write(data)

    def close(self) -> None:
        """Send what is written and end the service's side; the connection goes when the client closes, or in time."""
        if self.is_closing():
            return
        self.is_ending = True
        if not self._transport.can_write_eof():  # TLS, which ends a connection by messages of its own
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has just reset the connection, and the event loop does not know yet
            self.abort()
            return
        self.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        self.is_cut = True
        self._transport.abort()

    def resume_reading(self) -> None:
        """Let bytes in."""
        self._transport.resume_reading()

    def discard(self, n_bytes: int) -> None:
        """Count bytes that arrive while the connection is closing; too many cut it."""
        self._n_discarded += n_bytes
        if self._n_discarded > LINGER_BYTES:
            self.abort()

    def is_stalled(self, min_rate: int) -> bool:
        """Whether the client has not read the answer at the least rate, or does not close."""
        now, waiting = self._clock(), self._transport.get_write_buffer_size()
        if not waiting:
            self._window = None
            return self.is_ending and self._has_lingered(now)
        sent = self._n_written - waiting
        began, before = self._window = self._window or (now, sent)
        if now - began < RATE_WINDOW_S:
            return False
        self._window = (now, sent)
        return sent - before < min_rate * RATE_WINDOW_S

    def _has_lingered(self, now: float) -> bool:
        if self._flushed_at is None:
            self._flushed_at = now
        return now - self._flushed_at > LINGER_S


class SteadyBody:
    """ASGI's `receive` for one request; raises BodyTooSlow once if its body does not keep to the least rate."""

    def __init__(self, receive: Receive, min_rate: int, clock: Callable[[], float]) -> None:
        self._receive, self._clock = receive, clock
        self._least = min_rate * RATE_WINDOW_S
        self._left_s, self._n_bytes, self._is_arriving = RATE_WINDOW_S, 0, True

    async def __call__(self) -> Message:
        """Return the next message; only the time in which the app waits for the client counts."""
        while self._is_arriving:
            message = await self._timed()
            if message is not None:
                self._is_arriving = message.get("more_body", False)
                return message
        return await self._receive()

    async def _timed(self) -> Message | None:
        began, message = self._clock(), None
        with move_on_after(self._left_s):
            message = await self._receive()
        self._left_s -= self._clock() - began
        self._n_bytes += len(message.get("body", b"")) if message else 0
        if message is None or self._left_s <= 0:
            self._end_window()
        return message

    def _end_window(self) -> None:
        if self._n_bytes < self._least:
            self._is_arriving = False
            raise BodyTooSlow(RATE_WINDOW_S, at_least=int(self._least))
        self._left_s, self._n_bytes = RATE_WINDOW_S, 0


class HttpProtocol(H11Protocol):
    """One connection."""

    limits: ClassVar[ConnectionLimits]
    refused: ClassVar[Counter[int]]  # answers that did not come from the app, by status

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = self.framing = StrictConnection()
        self._served, self.app = self.app, self._serve
        self.address = ""
        self.since = self.loop.time()  # the connection, or the first byte of its current head
        self.n_arrived = 0  # bytes since then
        self.is_reading_head = True
        self.is_in_handshake = False

    @property
    def is_answering(self) -> bool:
        """Whether a request is being received, computed or answered."""
        return not getattr(self.cycle, "response_complete", True)  # there is no cycle before the first request

    @property
    def is_idle(self) -> bool:
        """Whether the connection waits for a next request, or is closing."""
        return self.transport.is_closing() or not (self.is_reading_head or self.is_answering)

    @property
    def is_receiving(self) -> bool:
        """Whether the client has begun a request, or is due to, and has not sent all of it."""
        return self.is_reading_head or (self.is_answering and self.cycle.more_body)

    @property
    def is_slow(self) -> bool:
        """Whether a request has arrived for longer than others should wait for it, and comes slowly."""
        passed_s = self.loop.time() - self.since
        return self.is_receiving and passed_s > SLOW_S and self.n_arrived < SLOW_RATE * passed_s

    @property
    def is_stopping(self) -> bool:
        """Whether the service is being stopped."""
        return bool(self.app_state.get("stopping"))

    def handshake_begun(self, transport: asyncio.Transport, client: tuple[str, int] | None) -> None:
        """Count a connection whose TLS handshake begins: until its end it is one that sends a head."""
        self.is_in_handshake = True
        self._join(transport, client)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Take a new connection, in plain text or after the handshake of TLS."""
        self.is_in_handshake, self.since = False, self.loop.time()
        super().connection_made(transport)
        self._join(transport, self.client)

    def _join(self, transport: asyncio.Transport, client: tuple[str, int] | None) -> None:
        """Count the connection; one too many replaces another or is refused."""
        self.connections.add(self)
        self.link = self.transport = LingeringTransport(transport, self.loop.time)
        self.address = _network(client)
        if len(self.connections) > self.limits.max_connections:
            self.loop.call_soon(self._make_place)  # then a handshake of its own has begun, and can be cut

    def _make_place(self) -> None:
        others = [each for each in cast("Iterable[HttpProtocol]", self.connections) if not each.link.is_cut]
        if self not in others or len(others) <= self.limits.max_connections:
            return
        replaced = _replaceable(self, others)
        if replaced is None:
            self.refuse(Busy())
        else:
            replaced.link.abort()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request; after the end of our side, throw it away."""
        if self.link.is_closing():
            self.link.discard(len(data))
            return
        if self.conn.their_state is h11.IDLE and not self.is_reading_head:
            self.is_reading_head, self.since, self.n_arrived = True, self.loop.time(), 0
        self.n_arrived += len(data)
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text is the same for every fault
        """Answer invalid HTTP."""
        fault = self.framing.fault or f"it is not HTTP/1.1, or its head is larger than {MAX_HEAD_BYTES:,} bytes"
        self.refuse(MalformedRequest(f"the request cannot be read: {fault}"))

    def check(self) -> None:
        """Close the connection if it is over a limit of time; called twice a second."""
        if self.is_in_handshake and self.link.is_closing():
            self.link.abort()  # asyncio has ignored it if the handshake had yet to begin
            self.connections.discard(self)  # nor does it tell that a handshake has failed
        elif self.link.is_stalled(self.limits.min_body_rate):
            self.link.abort()
        elif self.is_reading_head and not self.link.is_closing() and self._is_late():
            self._end_head()

    def _is_late(self) -> bool:
        return self.loop.time() - self.since > self.limits.header_timeout_s

    def _end_head(self) -> None:
        if self.conn.trailing_data[0]:
            self.refuse(BodyTooSlow(self.limits.header_timeout_s, part="head of the request"))
        else:
            self.link.close()  # a browser opens connections before it needs them

    def refuse(self, error: ServiceError) -> None:
        """Answer outside of the app and close; if an answer has begun, or none can be sent yet, only close."""
        if self.is_in_handshake:
            self.link.abort()
            return
        if self.is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.link.abort()
                return
        request_id = new_request_id()
        response = problem_response(error, request_id)
        own = {"X-Request-Id": request_id, "Connection": "close"}
        headers = ALWAYS | UNLESS_SET | dict(response.headers) | own
        reason = HTTPStatus(response.status_code).phrase
        start = h11.Response(status_code=response.status_code, headers=list(headers.items()), reason=reason)
        parts = (start, h11.Data(data=bytes(response.body)), h11.EndOfMessage())
        self.link.write(b"".join(self.conn.send(part) or b"" for part in parts))
        self.link.close()
        self.refused[response.status_code] += 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app; say that the connection closes if the body is not read to its end, or the service stops."""
        cycle = self.cycle
        self.is_reading_head = False

        async def announcing(message: Message) -> None:
            if message["type"] == "http.response.start" and (cycle.more_body or self.is_stopping):
                message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
            await send(message)

        app = cast("Callable[[Scope, Receive, Send], Awaitable[None]]", self._served)
        await app(scope, SteadyBody(receive, self.limits.min_body_rate, self.loop.time), announcing)


def _network(client: tuple[str, int] | None) -> str:
    """Return whose connection it is: an IPv4 address, or the /64 network that one customer has of IPv6."""
    host = client[0] if client else ""
    return str(int(IPv6Address(host.partition("%")[0])) >> 64) if ":" in host else host


def _replaceable(newcomer: HttpProtocol, connections: Iterable[HttpProtocol]) -> HttpProtocol | None:
    """Return the connection that makes place for another one: of a client with more of them, idle, or slow.

    Nothing that is being computed is cut; idle and slow ones of the same client go too.
    """
    n_of = Counter(each.address for each in connections)

    def may_go(each: HttpProtocol) -> bool:
        is_own = each.address == newcomer.address
        has_more = n_of[each.address] > n_of[newcomer.address]
        is_waste = each.is_idle or each.is_slow
        return each is not newcomer and ((has_more and each.is_receiving) or ((has_more or is_own) and is_waste))

    return min(
        filter(may_go, connections), key=lambda each: (not each.is_idle, -n_of[each.address], each.since), default=None
    )


def protocol_with(bounds: ConnectionLimits) -> type[HttpProtocol]:
    """Return the protocol with its limits."""

    class LimitedHttpProtocol(HttpProtocol):
        limits = bounds
        refused: ClassVar[Counter[int]] = Counter()

    return LimitedHttpProtocol
