"""The second port, which serves GET /metrics alone, from a thread: it answers also when the service is busy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Protocol

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.datastructures import Headers

from ..access.control import HostNames
from ..errors import UnknownHost
from ..problem_types import problem_type_of

PATIENCE_S = 10  # of a connection
MAX_CONNECTIONS = 8  # at a time; a further one takes the place of the oldest
CUT_S = 1.0  # in which that must have ended


class Metrics(Protocol):
    """The metrics of this process, or of several."""

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        ...


@contextmanager
def metrics_served(metrics: Metrics, hosts: HostNames, listener: socket.socket | None) -> Iterator[None]:
    """Serve metrics on a listening socket, under these names, until the block ends; without one, do nothing."""
    if listener is None:
        yield
        return
    server = _MetricsServer(metrics, hosts, listener)
    thread = threading.Thread(target=server.serve_forever, name="visavis-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _MetricsServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, metrics: Metrics, hosts: HostNames, listener: socket.socket) -> None:
        super().__init__(listener.getsockname()[:2], _MetricsHandler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.metrics, self.hosts = listener, metrics, hosts
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: list[socket.socket] = []  # the oldest first

    def verify_request(self, request: socket.socket, _client_address: object) -> bool:  # type: ignore[override] # of TCP
        """Whether there is a place for the connection; slow ones do not keep theirs."""
        if not self._places.acquire(blocking=False):
            with suppress(IndexError, OSError):
                self._open.pop(0).shutdown(socket.SHUT_RDWR)
            if not self._places.acquire(timeout=CUT_S):
                return False
        self._open.append(request)
        return True

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Start a thread; if there is none, give the place back."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self._leave(request)
            raise

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Answer one connection, and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def _leave(self, request: socket.socket) -> None:
        with suppress(ValueError):  # another one has its place
            self._open.remove(request)
        self._places.release()

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Ignore that a client left: the default prints a traceback."""


class _MetricsHandler(BaseHTTPRequestHandler):
    server: _MetricsServer
    timeout: ClassVar[int] = PATIENCE_S
    server_version, sys_version = "visavis", ""

    def do_GET(self) -> None:
        """Answer with the metrics; with 404 for another path, with 421 for another host."""
        try:
            self.server.hosts.check(
                Headers(raw=[(b"host", each.encode()) for each in self.headers.get_all("Host", ())])
            )
        except UnknownHost as error:
            self._answer(problem_type_of(UnknownHost).status, f"{error}\n".encode())
            return
        if self.path.partition("?")[0] == "/metrics":
            self._answer(HTTPStatus.OK, self.server.metrics.text())
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"the only path is /metrics\n")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing: a path is the client's text."""
