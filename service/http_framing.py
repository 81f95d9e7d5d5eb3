"""An h11 connection that refuses requests which a proxy could read differently, and costly heads and chunks.

h11 takes some requests that RFC 9112 lets a server refuse: a request in which two readers can see two different bodies
lets an attacker hide one request inside another behind a proxy (request smuggling).
"""

import re
from collections.abc import Iterator
from typing import NoReturn

import h11

MAX_HEAD_BYTES = 16 * 1024  # request line and headers together; also of a chunk's line, and of what follows the chunks
MAX_HEADERS = 100
# h11 takes some 10 us for a chunk however small; 20 MB in chunks of one byte would hold the event loop for minutes.
FREE_CHUNKS, MEAN_CHUNK_BYTES = 1024, 256
FREE_OVERHEAD_BYTES = 64 * 1024  # lines of chunks, with their extensions, beyond 1/32 of the body

HOST = re.compile(rb"(?:[a-z0-9._~%!$&'()*+,;=-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?", re.IGNORECASE)
VERSIONS = (b"1.0", b"1.1")


class StrictConnection(h11.Connection):
    """The server's side of one HTTP/1.1 connection; `next_event` raises h11.RemoteProtocolError as h11 does."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.fault = ""  # why the latest request was refused, if it is not h11 that refused it
        self._is_chunked = False
        self._n_chunks = self._n_body = self._n_wire = 0
        self._latest = b""  # the end of what was received, while a chunked body is read

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; an empty text is the end of the stream."""
        if self._is_chunked:
            self._n_wire += len(data)
            self._latest = self._latest[-4:] + data
        super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event; raises h11.RemoteProtocolError for what is refused."""
        before = self._unread() if self.their_state is h11.IDLE else b""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._begin(before, event)
        elif isinstance(event, h11.Data) and self._is_chunked:
            self._count(event)
        elif isinstance(event, h11.EndOfMessage) and self._is_chunked:
            self._end(event)
        elif event is h11.NEED_DATA and self._is_chunked:
            self._check_overhead()
        return event

    def _unread(self) -> bytes:
        return self.trailing_data[0]

    def _refuse(self, fault: str) -> NoReturn:
        self.fault = fault
        raise h11.RemoteProtocolError(fault)

    def _begin(self, before: bytes, request: h11.Request) -> None:
        end = before.find(b"\r\n\r\n")  # if h11 found an earlier one, a line before this ends without CR LF
        head = before[: end + 4] if end >= 0 else before
        for fault in _faults(head, request):
            self._refuse(fault)
        self._is_chunked = any(name == b"transfer-encoding" for name, _ in request.headers)
        self._latest = self._unread() if self._is_chunked else b""
        self._n_chunks, self._n_body, self._n_wire = 0, 0, len(self._latest)

    def _count(self, chunk: h11.Data) -> None:
        self._n_chunks += chunk.chunk_start
        self._n_body += len(chunk.data)
        if self._n_chunks > FREE_CHUNKS + self._n_body // MEAN_CHUNK_BYTES:
            self._refuse(f"the chunks are too small; send at least {MEAN_CHUNK_BYTES} bytes in each")

    def _check_overhead(self) -> None:
        """Refuse long chunk extensions; all that was received is parsed, but for the beginning of a line."""
        if self._n_wire - self._n_body > FREE_OVERHEAD_BYTES + self._n_body // 32:
            self._refuse("the chunks' lines are too long; send chunks without extensions")

    def _end(self, event: h11.EndOfMessage) -> None:
        self._is_chunked = False
        if event.headers:
            self._refuse("headers after a chunked body (trailers) are not supported")
        end = len(self._latest) - len(self._unread())
        if not self._latest[:end].endswith(b"\r\n\r\n"):
            self._refuse("a line ends without CR LF")


def _faults(head: bytes, request: h11.Request) -> Iterator[str]:
    """Give what is wrong with a request's head, of which h11 says that it can be read."""
    line, *headers = head.split(b"\r\n")
    fields = [(name.lower(), value) for name, _, value in (header.partition(b":") for header in headers if header)]
    if any(b"\n" in each or b"\r" in each for each in (line, *headers)):
        yield "a line ends without CR LF"
    if any(header.startswith((b" ", b"\t")) for header in headers):
        yield "a header is folded over several lines"
    if len(head) > MAX_HEAD_BYTES:  # h11 only looks at a head that has not ended
        yield f"its head is larger than {MAX_HEAD_BYTES:,} bytes"
    if len(fields) > MAX_HEADERS:
        yield f"the request has more than {MAX_HEADERS} headers"
    lengths = [value for name, value in fields if name == b"content-length"]  # of which h11 keeps one
    yield from _body_faults(lengths, dict(request.headers), request.http_version)
    yield from _address_faults(dict(request.headers), request)


def _body_faults(lengths: list[bytes], headers: dict[bytes, bytes], version: bytes) -> Iterator[str]:
    if len(lengths) > 1 or b"," in b"".join(lengths):
        yield "the request has several Content-Length headers"
    if b"transfer-encoding" in headers and b"content-length" in headers:
        yield "the request has both Content-Length and Transfer-Encoding"
    if b"transfer-encoding" in headers and version == b"1.0":
        yield "Transfer-Encoding needs HTTP/1.1"


def _address_faults(headers: dict[bytes, bytes], request: h11.Request) -> Iterator[str]:
    if request.http_version not in VERSIONS:
        yield "only HTTP/1.1 and HTTP/1.0 are supported"
    if not request.target.startswith(b"/"):
        yield "the address must be a path that begins with /, without scheme and host"
    if not HOST.fullmatch(headers.get(b"host", b"-")):
        yield "the Host header is not a name or an address, with or without a port"
