"""How connections come to workers: the parent accepts each, and hands it to the worker that has fewest.

The parent keeps a connection until the worker has taken it, so none is lost with a worker that ends before. One
listening socket that all accept from would not be fair: the first worker to wake takes all that have come.
"""

import asyncio
import errno
import logging
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import cast

import uvicorn

from .http_protocol import HttpProtocol
from .http_server import NO_RESOURCES, REPORT_EVERY_S, HttpServer

log = logging.getLogger("visavis.server")

# What a worker tells: it takes connections; it has taken one, or closed one; it stops, so others come first.
READY, TAKEN, CLOSED, STOPPING = b"r", b"t", b"c", b"s"
MAX_ACCEPTED = 64  # between two looks at what workers tell
MAX_TOLD = 4096
PAUSE_S = 1.0  # without file descriptors
STUCK_S = 5.0  # an event loop that hangs for so long is stuck; it turns ten times a second
LEAVING_S = 1.0  # for the parent to hear the last that a worker tells


@dataclass(slots=True, eq=False)
class _Receiver:
    """A worker, as connections come to it."""

    link: socket.socket
    takes: bool = False
    is_stopping: bool = False
    n_open: int = 0
    handed: deque[socket.socket] = field(default_factory=deque)  # and not taken yet, the oldest first


class ConnectionDispatcher:
    """Accepts connections, and hands them out. While no worker takes any, they wait in the system's queue."""

    def __init__(self, listener: socket.socket, wake: socket.socket) -> None:
        """Listen; `wake` ends a turn when it has bytes."""
        self._listener, self._wake = listener, wake
        listener.setblocking(False)  # noqa: FBT003 - the library's signature
        self._receivers = dict[socket.socket, _Receiver]()
        self._waiting = deque[socket.socket]()  # accepted for a worker that has ended
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)
        self._paused_until, self._reported_s = 0.0, float("-inf")

    def add(self, link: socket.socket) -> None:
        """Hand connections out over this socket, as soon as its worker takes them."""
        link.setblocking(False)  # noqa: FBT003 - the library's signature
        self._receivers[link] = _Receiver(link)
        self._selector.register(link, selectors.EVENT_READ)

    def turn(self, limit_s: float) -> None:
        """Do what there is to do; wait for it for so long at most."""
        self._listen()
        for key, _ in self._selector.select(limit_s):
            found = cast("socket.socket", key.fileobj)
            if found is self._listener:
                self._accept()
            elif found is self._wake:
                self._wake.recv(MAX_TOLD)
            elif found in self._receivers:
                self._hear(self._receivers[found])

    def close(self) -> None:
        """Close all sockets."""
        for receiver in list(self._receivers.values()):
            self._drop(receiver)
        for each in self._waiting:
            each.close()
        self._selector.close()

    def _listen(self) -> None:
        """Look at the listening socket only while there is somebody to hand a connection to."""
        is_wanted = monotonic() > self._paused_until and any(each.takes for each in self._receivers.values())
        is_watched = self._listener in self._selector.get_map()
        if is_wanted and not is_watched:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif is_watched and not is_wanted:
            self._selector.unregister(self._listener)

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTED):
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._pause(error)
                return
            self._hand(connection)

    def _pause(self, error: OSError) -> None:
        if error.errno in NO_RESOURCES:
            self._paused_until = monotonic() + PAUSE_S
            if monotonic() > self._reported_s + REPORT_EVERY_S:
                self._reported_s = monotonic()
                log.error("no file descriptors are left, so no connections are accepted for a while; raise ulimit -n")
        elif error.errno == errno.EBADF:
            raise error

    def _hand(self, connection: socket.socket) -> None:
        """Hand a connection to the worker with the fewest; one that does not read what it is handed is passed over."""
        for receiver in sorted(self._receivers.values(), key=lambda each: (each.is_stopping, each.n_open)):
            if not receiver.takes:
                continue
            with suppress(OSError):
                socket.send_fds(receiver.link, [TAKEN], [connection.fileno()])
                receiver.n_open += 1
                receiver.handed.append(connection)
                return
        self._waiting.append(connection)

    def _hear(self, receiver: _Receiver) -> None:
        try:
            told = receiver.link.recv(MAX_TOLD)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if not told:
            self._drop(receiver)
        receiver.takes |= READY in told
        receiver.is_stopping |= STOPPING in told
        for _ in range(told.count(TAKEN)):
            receiver.handed.popleft().close()
        receiver.n_open -= told.count(CLOSED)
        self._hand_waiting()

    def _drop(self, receiver: _Receiver) -> None:
        """Forget a worker that takes no more; others get what it has not taken."""
        del self._receivers[receiver.link]
        self._selector.unregister(receiver.link)
        receiver.link.close()
        self._waiting += receiver.handed

    def _hand_waiting(self) -> None:
        if any(each.takes for each in self._receivers.values()):
            waiting, self._waiting = self._waiting, deque()
            for each in waiting:
                self._hand(each)


class WorkerServer(HttpServer):
    """The server of one worker: it takes connections from the parent instead of a listening socket."""

    def __init__(
        self, config: uvicorn.Config, link: socket.socket, *, grace_s: float, before_end: Callable[[], None]
    ) -> None:
        super().__init__(config, grace_s=grace_s, before_end=before_end)
        self._link = link
        self._untold = bytearray()  # what the parent has not been told yet, because it has not read the rest
        self._protocol = _telling(cast("type[HttpProtocol]", config.http_protocol_class), lambda: self._tell(CLOSED))
        self._opening = set[asyncio.Task[None]]()
        self._turned_s = monotonic()  # when the event loop did so last

    @property
    def is_stuck(self) -> bool:
        """Whether the event loop hangs."""
        return monotonic() - self._turned_s > STUCK_S

    async def on_tick(self, counter: int) -> bool:
        """Note that the event loop turns."""
        self._turned_s = monotonic()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, once: the parent, a service manager and an operator may all say so."""
        if not self.should_exit:
            super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the base's signature
        """Begin to take connections."""
        await super().startup(sockets=[])
        self._link.setblocking(False)  # noqa: FBT003 - the library's signature
        asyncio.get_running_loop().add_reader(self._link, self._take)
        self._tell(READY)

    async def _drain(self) -> None:
        self._tell(STOPPING)
        await super()._drain()
        self._leave()

    def _leave(self) -> None:
        """Take no more; the parent hands to others what was not taken."""
        if self._link.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._link)
            asyncio.get_running_loop().remove_writer(self._link)
            with suppress(OSError):  # what it has taken must not be handed to another one as well
                self._link.settimeout(LEAVING_S)
                self._link.sendall(self._untold)
            self._link.close()

    def _take(self) -> None:
        try:
            told, handles, _, _ = socket.recv_fds(self._link, 1, 1)
        except BlockingIOError:
            return
        except OSError:
            told, handles = b"", []
        if not told:  # the parent has ended
            self._leave()
            self.handle_exit(signal.SIGTERM, None)
            return
        self._tell(TAKEN)
        if not handles:  # the system had no file descriptor for it
            self._report(asyncio.get_running_loop(), {"exception": OSError(errno.EMFILE, "")})
            self._tell(CLOSED)
            return
        task = asyncio.get_running_loop().create_task(self._open(socket.socket(fileno=handles[0])))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the library's signature
        config, limits = self.config, self._limits
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(config, self.server_state, self.lifespan.state),
                connection,
                ssl=config.ssl,
                ssl_handshake_timeout=limits.header_timeout_s if config.ssl else None,
            )
        except OSError:  # the client left, or speaks no TLS
            connection.close()
            self._tell(CLOSED)
            return
        if protocol.is_in_handshake:  # it was cut; of such a one asyncio tells neither a failure nor its end
            self._tell(CLOSED)

    def _tell(self, what: bytes) -> None:
        self._untold += what
        self._tell_on()

    def _tell_on(self) -> None:
        """Tell the parent what it is to know. What it cannot take now waits: else it would count wrongly for ever."""
        if self._link.fileno() < 0:  # this worker has left
            return
        try:
            n_told = self._link.send(self._untold)
        except BlockingIOError:
            n_told = 0
        except OSError:  # the parent has ended
            n_told = len(self._untold)
        del self._untold[:n_told]
        if self._untold:
            asyncio.get_running_loop().add_writer(self._link, self._tell_on)
        else:
            asyncio.get_running_loop().remove_writer(self._link)


def _telling(protocol: type[HttpProtocol], closed: Callable[[], None]) -> type[HttpProtocol]:
    """Return a protocol that tells when its connection is closed."""

    class TellingProtocol(protocol):  # type: ignore[misc, valid-type] # mypy knows no class that is a value
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            closed()

    return TellingProtocol
