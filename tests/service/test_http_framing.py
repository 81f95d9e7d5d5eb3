"""A request that two readers could read differently is refused, and so is one that costs much to read."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import h11
import pytest
from hypothesis import given, settings, strategies as st
from odd_inputs import Site
from serving_process import connected, received, status_of, talk

from service.http_framing import FREE_CHUNKS, MAX_HEADERS, StrictConnection
from service.http_protocol import LingeringTransport

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
CHUNKED = GET + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "both lengths": (GET + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both Content-Length"),
    "one length twice": (GET + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "several Content-Length"),
    "a list of lengths": (GET + b"Content-Length: 1, 1\r\n\r\nx", "several Content-Length"),
    "two lengths": (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "not HTTP/1.1"),
    "a signed length": (GET + b"Content-Length: +1\r\n\r\nx", "not HTTP/1.1"),
    "bare LF": (GET.replace(b"\r\n", b"\n") + b"\n", "without CR LF"),
    "one bare LF": (GET + b"X: y\nZ: w\r\n\r\n", "without CR LF"),
    "a folded header": (GET + b"X: a\r\n b\r\n\r\n", "folded"),
    "a blank before the colon": (GET + b"Content-Length : 1\r\n\r\nx", "not HTTP/1.1"),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", "needs HTTP/1.1"),
    "another coding": (GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "not HTTP/1.1"),
    "trailers": (CHUNKED + b"0\r\nX: y\r\n\r\n", "trailers"),
    "bare LF after the chunks": (CHUNKED + b"0\r\n\n", "without CR LF"),
    "a chunk longer than it says": (CHUNKED + b"1\r\nxy\r\n0\r\n\r\n", "not HTTP/1.1"),
    "tiny chunks": (CHUNKED + b"1\r\nx\r\n" * 2 * FREE_CHUNKS + b"0\r\n\r\n", "chunks are too small"),
    "an absolute address": (b"GET http://b/healthz HTTP/1.1\r\nHost: a\r\n\r\n", "begins with /"),
    "a tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "begins with /"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n", "only HTTP/1.1"),
    "an odd host": (b"GET /healthz HTTP/1.1\r\nHost: a/b@c\r\n\r\n", "Host header"),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", "not HTTP/1.1"),
    "two hosts": (GET + b"Host: b\r\n\r\n", "not HTTP/1.1"),
    "many headers": (GET + b"a: b\r\n" * MAX_HEADERS + b"\r\n", "more than 100 headers"),
    "a long head": (GET + b"a: " + b"b" * 20_000 + b"\r\n\r\n", "larger than 16,384 bytes"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", "not HTTP/1.1"),
}
SERVED = {
    "a plain request": GET + b"Connection: close\r\n\r\n",
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n\r\n",
    "an address as host": b"GET /healthz HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: close\r\n\r\n",
    "an upgrade": GET + b"Connection: close, upgrade\r\nUpgrade: h2c\r\n\r\n",
    "chunks": CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + b"3;x=y\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_and_its_connection_closed(case: str, site: Site) -> None:
    sent, reason = REFUSED[case]
    head, _, body = talk(site.url, sent + GET + b"\r\n").partition(b"\r\n\r\n")
    problem = json.loads(body)  # and no second answer behind it
    assert (status_of(head), problem["code"]) == (400, "malformed_request")
    assert reason in problem["detail"]
    assert b"connection: close" in head.lower()
    assert f"x-request-id: {problem['request_id']}".encode() in head.lower()


@pytest.mark.parametrize("case", SERVED)
def test_an_ordinary_request_is_served(case: str, site: Site) -> None:
    answer = talk(site.url, SERVED[case])
    assert status_of(answer) == 200
    assert answer.endswith(b'{"status":"ok"}')


def test_requests_behind_each_other_on_one_connection_are_answered_in_order(site: Site) -> None:
    last = GET.replace(b"healthz", b"errors") + b"Connection: close\r\n\r\n"
    answer = talk(site.url, GET + b"\r\n" + GET + b"Content-Length: 2\r\n\r\nxy" + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.endswith(b"</html>")


def test_the_answer_to_a_body_that_is_not_read_arrives_and_the_connection_ends(site: Site) -> None:
    head = (
        b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    )
    with connected(site.url) as connection:
        connection.sendall(head)
        for _ in range(64):
            connection.sendall(bytes(2**16))
        answer = received(connection)
        assert (status_of(answer), b"connection: close" in answer.lower()) == (413, True)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            send_without_end(connection)


def send_without_end(connection: socket.socket) -> None:
    for _ in range(2**14):
        connection.sendall(bytes(2**16))


def test_a_fault_in_the_middle_of_a_body_is_answered(site: Site) -> None:
    head = (
        b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with connected(site.url) as connection:
        connection.sendall(head + b"1\r\n{\r\n")
        connection.sendall(b"zz\r\n")
        assert status_of(received(connection)) == 400


def events(data: bytes, cuts: list[int]) -> Iterator[str]:
    """What a connection makes of bytes that arrive in pieces: names of events, or the refusal."""
    connection = StrictConnection()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in pairwise(edges):
            connection.receive_data(data[start:end])
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if not isinstance(event, h11.Data):
                    yield type(event).__name__
    except h11.RemoteProtocolError:
        yield "refused"


@pytest.mark.parametrize("case", [*REFUSED, *SERVED])
@given(cuts=st.lists(st.integers(0, 30_000), max_size=8))
@settings(max_examples=20, deadline=None)
def test_the_verdict_does_not_depend_on_how_the_bytes_arrive(case: str, cuts: list[int]) -> None:
    data = REFUSED[case][0] if case in REFUSED else SERVED[case]
    assert list(events(data, cuts)) == list(events(data, []))


async def test_a_connection_that_its_client_has_just_reset_is_closed_without_an_error() -> None:
    ended: asyncio.Future[LingeringTransport] = asyncio.get_running_loop().create_future()

    class Closing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            client.close()
            link = LingeringTransport(cast("asyncio.Transport", transport), time.monotonic)
            try:
                link.close()
            except OSError as error:
                ended.set_exception(error)
            else:
                ended.set_result(link)

    server = await asyncio.get_running_loop().create_server(Closing, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    async with server:
        link = await ended
    assert link.is_cut
    assert link.is_closing()
