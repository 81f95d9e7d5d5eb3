"""uvicorn's server with an orderly end: it refuses new requests, answers those in progress, and ends by a deadline."""

import asyncio
import errno
import logging
import os
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, cast

import uvicorn

from .http_protocol import ConnectionLimits, HttpProtocol, protocol_with
from .log_handler import say

log = logging.getLogger("visavis.server")

BACKLOG = 128  # connections that the system keeps until they are accepted
SPARE_DESCRIPTORS = 256  # beside those of connections: files, the backlog, other processes' pipes
CHECK_EVERY = 5  # ticks of 0.1 s
TICK_S = 0.1
SETTLE_S = 1.0  # in which open connections and load balancers see that the service stops
LAST_S = 0.2  # for requests on connections that were just opened
CLOSE_S = 1.0  # for the last answers to leave
SHORT_S = 0.02
UNFINISHED = 1  # the exit status if requests were left unanswered
NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
REPORT_EVERY_S = 60.0


class ServerLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections are limited during their TLS handshake, as after it.

    asyncio gives a handshake 60 s, in which the protocol does not hear of the connection; here it counts, and has the
    time of a request's head.
    """

    def __init__(self, handshake_timeout_s: float) -> None:
        super().__init__()
        self._handshake_timeout_s = handshake_timeout_s

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        """Listen as asyncio does."""
        if options.get("ssl"):
            options["ssl_handshake_timeout"] = self._handshake_timeout_s
        return await super().create_server(*args, **options)

    # Of asyncio's own; the only place at which both the protocol and the connection are known before the handshake.
    def _make_ssl_transport(self, sock: socket.socket, protocol: Any, *args: Any, **options: Any) -> Any:
        transport = super()._make_ssl_transport(sock, protocol, *args, **options)  # type: ignore[misc]
        if isinstance(protocol, HttpProtocol):
            protocol.handshake_begun(transport, _peer_of(sock))
        return transport


def _peer_of(connection: socket.socket) -> tuple[str, int] | None:
    """Return the address of a client, None if it has left already."""
    try:
        return cast("tuple[str, int]", connection.getpeername())
    except OSError:
        return None


class HttpServer(uvicorn.Server):
    """A server of one process; `before_end` is called before the process is ended without further ado."""

    def __init__(
        self, config: uvicorn.Config, *, grace_s: float, before_end: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(config)
        protocol = cast("type[HttpProtocol]", config.http)
        self.refused, self._limits = protocol.refused, protocol.limits
        self._grace_s, self._before_end = grace_s, before_end
        self._reported_at: float | None = None

    @property
    def open_connections(self) -> list[HttpProtocol]:
        """All connections, those being closed too."""
        return list(cast("Iterable[HttpProtocol]", self.server_state.connections))

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal."""
        with asyncio.Runner(loop_factory=lambda: ServerLoop(self._limits.header_timeout_s)) as runner:
            runner.run(self.serve(sockets))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the system's arguments
        """Begin to stop; the second signal ends the process at once."""
        if self.should_exit:
            self._end("visavis has ended at once, at the second signal.", 128 + sig)
        self.should_exit = True
        watchdog = threading.Timer(self._grace_s + SETTLE_S + CLOSE_S, self._end_late)
        watchdog.daemon = True
        watchdog.start()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen; what goes wrong in the event loop is told without bytes of requests."""
        asyncio.get_running_loop().set_exception_handler(self._report)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Check the connections twice a second."""
        if counter % CHECK_EVERY == 0:
            self._check_connections()
            self._report_refused()
        return await super().on_tick(counter)

    def _check_connections(self) -> None:
        for connection in self.open_connections:
            try:
                connection.check()
            except Exception as error:  # noqa: BLE001 - one connection must not end the server
                self._report(asyncio.get_running_loop(), {"exception": error})
                connection.link.abort()

    def _report_refused(self) -> None:
        for status, n in self.refused.items():
            log.info("answered with %d before a request was read: %d", status, n)
        self.refused.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in progress and refuse the rest, then close; ends the process at the deadline."""
        self.lifespan.state["stopping"] = True  # a copy of it is in every further request
        await self._drain()
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        if self.server_state.tasks:
            self._end_late()
        await self._close_connections()
        await self.lifespan.shutdown()

    async def _drain(self) -> None:
        """Wait until nothing is in progress, and open connections had a moment to learn of the end."""
        loop = asyncio.get_running_loop()
        began, n_ticks = loop.time(), 0
        while loop.time() - began < self._grace_s:
            has_settled = loop.time() - began >= SETTLE_S or not self.server_state.connections
            if has_settled and not self.server_state.tasks:
                return
            await asyncio.sleep(TICK_S)
            n_ticks += 1
            await self.on_tick(n_ticks)

    async def _close_connections(self) -> None:
        """Refuse what was sent to the last connections, then close them."""
        await self._until_none_is_open(LAST_S)
        for connection in self.open_connections:
            connection.link.close()
        await self._until_none_is_open(CLOSE_S)
        for connection in self.open_connections:
            connection.link.abort()

    async def _until_none_is_open(self, limit_s: float) -> None:
        for _ in range(int(limit_s / SHORT_S)):
            if not self.server_state.connections:
                return
            await asyncio.sleep(SHORT_S)

    def _end_late(self) -> None:
        n = len(self.server_state.tasks)
        if n:
            self._end(f"visavis has ended after {self._grace_s:g} s; {n} requests in progress were not answered.")
        self._end("visavis has stopped, without waiting for its threads.", 0)

    def _end(self, line: str, status: int = UNFINISHED) -> None:
        """End the process, whatever its threads do."""
        self._before_end()
        say(line)
        os._exit(status)

    def _report(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Write a line for a failure of the event loop, at most once a minute, without the error's message."""
        if self._reported_at is not None and loop.time() - self._reported_at < REPORT_EVERY_S:
            return
        self._reported_at = loop.time()
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in NO_RESOURCES:
            log.error("no file descriptors are left, so no connections are accepted for a while; raise ulimit -n")
        else:
            log.error("a connection failed unexpectedly (%s)", type(error).__name__)


def http_config(
    app: Any, limits: ConnectionLimits, tls_certificate: str | None = None, tls_key: str | None = None
) -> uvicorn.Config:
    """Return uvicorn's configuration for an ASGI app, loaded; TLS if certificate and key are given."""
    config = uvicorn.Config(
        app,
        http=protocol_with(limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # by itself uvicorn believes X-Forwarded-For of every program on this machine
        backlog=BACKLOG,
        timeout_keep_alive=cast("int", limits.idle_timeout_s),  # any number is right
        ssl_certfile=tls_certificate,
        ssl_keyfile=tls_key,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return config


def raise_descriptor_limit(max_connections: int) -> int | None:
    """Let the process have the file descriptors for its connections; returns how many are too few, else None."""
    needed = max_connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard != resource.RLIM_INFINITY and hard < needed:
        return hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return None
