"""A worker that is handed connections: what it tells of each, so that its parent counts rightly, however it ends."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from live_service import until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http_protocol import ConnectionLimits
from service.http_server import http_config
from service.worker_connections import CLOSED, READY, TAKEN, ConnectionDispatcher, WorkerServer

LIMITS = ConnectionLimits(max_connections=1000, header_timeout_s=1, idle_timeout_s=1, min_body_rate=1000)
PATIENCE_S = 20.0
N_MANY = 600  # more than a socket between processes holds of what is told
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Speak = Callable[[socket.socket], None]


class Parent:
    """Hands connections to a worker, and hears what it tells."""

    def __init__(self, server: WorkerServer, link: socket.socket, listener: socket.socket) -> None:
        self.server, self.link, self._listener, self._told = server, link, listener, Counter[bytes]()

    def hand(self) -> socket.socket:
        """The client's end of a new connection."""
        client = socket.create_connection(self._listener.getsockname(), PATIENCE_S)
        accepted, _ = self._listener.accept()
        socket.send_fds(self.link, [TAKEN], [accepted.fileno()])
        accepted.close()
        return client

    def told(self, *, n: int) -> tuple[int, int]:
        """How many connections were taken and closed, once both are `n`, or as many as are told in time."""
        self.link.settimeout(PATIENCE_S)
        with suppress(TimeoutError):
            while min(self._told[TAKEN], self._told[CLOSED]) < n:
                self._told.update(bytes([each]) for each in self.link.recv(4096))
        return self._told[TAKEN], self._told[CLOSED]


@contextmanager
def worker(*tls: str, app: Starlette | None = None) -> Iterator[Parent]:
    """A worker in a thread, and its parent."""
    ours, theirs = socket.socketpair()
    config = http_config(app or Starlette(), LIMITS, *tls)
    server = WorkerServer(config, theirs, grace_s=PATIENCE_S, before_end=lambda: None)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert ours.recv(1) == READY
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield Parent(server, ours, listener)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        ours.close()
    assert not thread.is_alive()


def say_nothing(client: socket.socket) -> None:
    client.recv(1)  # until it is cut


def leave(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_RDWR)


def talk_nonsense(client: socket.socket) -> None:
    client.sendall(b"\x00\x01 nonsense\r\n\r\n")
    while client.recv(4096):
        pass


def ask(client: socket.socket) -> None:
    client.sendall(GET)
    assert client.recv(4096).startswith(b"HTTP/1.1 404")


def ask_by_tls(client: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(client) as spoken:
        ask(spoken)


@pytest.mark.parametrize("speak", [say_nothing, leave, talk_nonsense, ask])
def test_each_connection_is_told_once(speak: Speak) -> None:
    with worker() as parent:
        for n in (1, 2):
            with parent.hand() as client:
                speak(client)
            assert parent.told(n=n) == (n, n)


@pytest.mark.parametrize("speak", [say_nothing, leave, talk_nonsense, ask_by_tls])
def test_each_connection_with_tls_is_told_once(
    speak: Speak, certificate: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with worker(certificate["certificate"], certificate["key"]) as parent:
        for n in (1, 2):
            with parent.hand() as client:
                speak(client)
            assert parent.told(n=n) == (n, n)
    assert "failed unexpectedly" not in caplog.text


def test_nothing_that_it_tells_is_lost_while_the_parent_is_busy() -> None:
    with worker() as parent:
        for _ in range(N_MANY):
            parent.hand().close()
        assert parent.told(n=N_MANY) == (N_MANY, N_MANY)


def test_a_connection_without_a_file_descriptor_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    with worker() as parent:
        parent.link.sendall(TAKEN)  # as it arrives when the worker may open no more files
        assert parent.told(n=1) == (1, 1)
        with parent.hand() as client:
            ask(client)
        assert parent.told(n=2) == (2, 2)
    assert "no file descriptors are left" in caplog.text


def test_what_a_worker_has_not_taken_when_it_ends_goes_to_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wake, woken = socket.socketpair()
        dispatcher = ConnectionDispatcher(listener, woken)
        first, other = (_added(dispatcher) for _ in range(2))
        client = socket.create_connection(listener.getsockname(), PATIENCE_S)
        until(lambda: _turned(dispatcher, first, other) is not None)
        holder, free = (first, other) if _has_message(first) else (other, first)
        holder.close()  # it has taken nothing
        until(lambda: _turned(dispatcher, free) is not None)
        _, handles, _, _ = socket.recv_fds(free, 1, 1)
        free.sendall(TAKEN)
        with socket.socket(fileno=handles[0]) as served:
            client.sendall(b"x")
            assert served.recv(1) == b"x"
        for each in (dispatcher, client, wake, woken, first, other):
            each.close()


def _added(dispatcher: ConnectionDispatcher) -> socket.socket:
    """A worker's end of the link to a dispatcher; it takes connections."""
    ours, theirs = socket.socketpair()
    dispatcher.add(ours)
    theirs.sendall(READY)
    return theirs


def _turned(dispatcher: ConnectionDispatcher, *workers: socket.socket) -> socket.socket | None:
    """Let the dispatcher work; gives the worker that has been handed a connection."""
    dispatcher.turn(0.05)
    return next(filter(_has_message, workers), None)


def _has_message(link: socket.socket) -> bool:
    link.settimeout(0)
    try:
        return bool(link.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_a_worker_whose_event_loop_hangs_says_that_it_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.worker_connections.STUCK_S", 1.0)
    may_go_on = threading.Event()

    async def hang(_: Request) -> Response:
        assert may_go_on.wait(PATIENCE_S)
        return Response()

    with worker(app=Starlette(routes=[Route("/", hang)])) as parent:
        assert not parent.server.is_stuck
        with parent.hand() as client:
            client.sendall(GET)
            until(lambda: parent.server.is_stuck)
            may_go_on.set()
            until(lambda: not parent.server.is_stuck)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
