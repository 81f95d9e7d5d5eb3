"""Requests that are sent when they are due, whether earlier ones were answered or not (an open loop); cheap to send.

One thread and one selector, because the machine that is measured sends them too. Each request has a connection of its
own. Its latency counts from the time when it was due, so that a service that falls behind cannot hide it.
"""

import errno
import random
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FACES = Path(__file__).parents[1] / "examples" / "faces"
PAIRS = (("001-neutral", "001-smiling"), ("005-neutral", "021-neutral"), ("041-neutral", "041-smiling"))
BOUNDARY = "----------open-loop"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
GIVE_UP_S = 60.0  # of one request
READ_BYTES = 65536
STATUS_AT = slice(9, 12)  # in an answer's first line
TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what became of it: the status of its answer, or the name of what went wrong."""

    due_s: float  # since the start
    took_s: float
    status: str


@dataclass(slots=True)
class _Exchange:
    """A request on its way; an answer is read until the service closes the connection."""

    due_s: float
    left: memoryview
    answer: bytearray = field(default_factory=bytearray)
    fault: str | None = None


class OpenLoop:
    """Sends requests to one address at a mean rate, with exponential pauses (a Poisson process)."""

    def __init__(self, address: tuple[str, int], requests: Sequence[bytes], *, give_up_s: float, seed: int) -> None:
        """`requests` are whole requests with `Connection: close`, sent in turns; one is given up after `give_up_s`."""
        self._address, self._requests, self._give_up_s = address, requests, give_up_s
        self._random = random.Random(seed)  # noqa: S311 - times, no secrets
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, _Exchange] = {}
        self._results: list[Sent] = []
        self._start = 0.0

    def run(self, rate: float, seconds: float, is_over: Callable[[], bool] = lambda: False) -> list[Sent]:
        """Send `rate` requests a second for so long, wait for the last answers, and return all results.

        It sends no more as soon as `is_over` says so.
        """
        self._start, due, n = time.perf_counter(), 0.0, 0
        while due < seconds and not is_over():
            while due <= (now := self._now()) and due < seconds:
                self._send(self._requests[n % len(self._requests)], due)
                due, n = due + self._random.expovariate(rate), n + 1
            self._turn(min(max(due - now, 0.0), TICK_S))
        while self._open:
            self._turn(TICK_S)
        results, self._results = self._results, []
        return results

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _send(self, request: bytes, due_s: float) -> None:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - the library's signature
        exchange = _Exchange(due_s, memoryview(request))
        code = connection.connect_ex(self._address)
        self._open[connection] = exchange
        if code not in (0, errno.EINPROGRESS):
            self._close(connection, errno.errorcode[code])
            return
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _turn(self, timeout_s: float) -> None:
        for key, events in self._selector.select(timeout_s):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)  # noqa: S101 - for mypy
            self._go_on(connection, events)
        late = [connection for connection, each in self._open.items() if self._now() - each.due_s > self._give_up_s]
        for connection in late:
            self._close(connection, "given up")

    def _go_on(self, connection: socket.socket, events: int) -> None:
        exchange = self._open[connection]
        try:
            if events & selectors.EVENT_READ:
                received = connection.recv(READ_BYTES)
                exchange.answer += received
                if not received:
                    self._close(connection, exchange.fault)
                    return
            if events & selectors.EVENT_WRITE and exchange.left:
                exchange.left = exchange.left[connection.send(exchange.left) :]
                if not exchange.left:
                    self._selector.modify(connection, selectors.EVENT_READ)
        except OSError as error:  # the service may answer and close before it has read everything
            if exchange.answer and events & selectors.EVENT_WRITE:
                exchange.left = memoryview(b"")
                self._selector.modify(connection, selectors.EVENT_READ)
            else:
                self._close(connection, errno.errorcode.get(error.errno or 0, "unknown"))

    def _close(self, connection: socket.socket, fault: str | None) -> None:
        exchange = self._open.pop(connection)
        if connection.fileno() >= 0 and connection in self._selector.get_map():
            self._selector.unregister(connection)
        connection.close()
        status = exchange.answer[STATUS_AT].decode("latin-1") if len(exchange.answer) > STATUS_AT.stop else None
        self._results.append(Sent(exchange.due_s, self._now() - exchange.due_s, status or fault or "no answer"))


def ask(address: tuple[str, int], request: bytes) -> Sent:
    """Send one request and wait for its answer."""
    (result,) = OpenLoop(address, [request], give_up_s=GIVE_UP_S, seed=0).run(1e-9, 1e-9)
    return result


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of latencies; nan if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def post_request(path: str, host: str, content_type: str, body: bytes, key: str | None = None) -> bytes:
    """Return a whole POST request with `Connection: close`."""
    headers = {
        "Host": host,
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **({} if key is None else {"Authorization": f"Bearer {key}"}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def form_request(path: str, host: str, images: Sequence[tuple[str, bytes]], key: str | None = None) -> bytes:
    """Return a whole POST request with images as a form."""
    return post_request(path, host, FORM_TYPE, form_body(images), key)


def verify_request(host: str, pair: tuple[str, str] = PAIRS[0], key: str | None = None) -> bytes:
    """Return a whole request to verify two of the example faces."""
    return form_request("/v1/verify", host, pair_images(pair), key)


def pair_images(pair: tuple[str, str]) -> list[tuple[str, bytes]]:
    """Return two of the example faces as the images of a verification."""
    return [
        (part, (FACES / f"{name}.jpg").read_bytes()) for part, name in zip(("probe", "reference"), pair, strict=True)
    ]


def form_body(images: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the body of a form of images, of type FORM_TYPE."""
    boundary = BOUNDARY.encode()
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n'
        % (boundary, name.encode(), image)
        for name, image in images
    ]
    return b"".join(parts) + b"--%s--\r\n" % boundary
