"""Both clients against servers that lie, drip, flood and hang up: only errors of the client's tree leave, in time."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from service.client import (
    BusyError,
    ClientError,
    NoFaceError,
    RequestRejected,
    Retry,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)

if TYPE_CHECKING:
    from service.client import Problem, VerifyResponse
    from tests.client.conftest import Connector, ScriptedServer

Script = Callable[[socket.socket], object]

OK = b"HTTP/1.1 200 OK\r\n"
DEADLINE_S = 0.6
TOLERANCE_S = 15  # of a busy machine
ONCE = Retry(attempts=1)


@contextmanager
def hostile(script: Script) -> Iterator[str]:
    """A server that treats each connection by the script, in a thread of its own, until it is closed."""
    listener, threads = socket.create_server(("127.0.0.1", 0)), []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            script(connection)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    threads.append(threading.Thread(target=listen))
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join()


def receive(connection: socket.socket) -> None:
    """Read a whole request: bytes left unread would reset the connection when it is closed."""
    with connection.makefile("rb") as file:
        lines = [line.lower() for line in iter(file.readline, b"\r\n")]
        file.read(sum(int(line[15:]) for line in lines if line.startswith(b"content-length:")))


def after_the_request(*parts: bytes, pause_s: float = 0.0) -> Script:
    """Read the request, and send the parts and nothing more."""

    def script(connection: socket.socket) -> None:
        receive(connection)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)

    return script


def endless(start: bytes, part: bytes, *, pause_s: float = 0.0) -> Script:
    """Read the request, send `start`, and then `part` until the client hangs up."""

    def script(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(start)
        while True:
            connection.sendall(part)
            time.sleep(pause_s)

    return script


def full(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([OK.strip(), *headers, b"content-length: %d" % len(body), b"", body])


def reads_nothing(_: socket.socket) -> None:
    time.sleep(2 * DEADLINE_S)


def refused(connect: Connector, script: Script, kind: type[ClientError], body: bytes = b"i") -> ClientError:
    """Ask once; gives the error, which must come within the deadline."""
    with hostile(script) as url:
        client, begun_s = connect(url, deadline_s=DEADLINE_S, retry=ONCE), time.monotonic()
        with pytest.raises(kind) as caught:
            client.detect(body)
        client.close()
    assert time.monotonic() - begun_s < DEADLINE_S + TOLERANCE_S
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000
    return caught.value


CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        endless(CHUNKED, b"10000\r\n" + b" " * 2**16 + b"\r\n"),
        endless(OK + b"\r\n", b" " * 2**16),
        endless(OK + b"content-length: 1000000000000\r\n\r\n", b" " * 2**16),
        endless(b"HTTP/1.1 503 Busy\r\n\r\n", b" " * 2**16),
    ],
    ids=["chunked", "until closed", "a long length", "a problem"],
)
def test_an_answer_without_end_is_cut_off(connect: Connector, script: Script) -> None:
    assert "more than" in str(refused(connect, script, UnexpectedAnswer))


@pytest.mark.parametrize(
    "script",
    [
        endless(OK + b"content-length: 1000\r\n\r\n", b" ", pause_s=0.05),
        endless(CHUNKED, b"1\r\n \r\n", pause_s=0.05),
        endless(OK, b"x: y\r\n", pause_s=0.05),
        endless(b"", b"H", pause_s=0.05),
        endless(b"", b"HTTP/1.1 103 Early\r\n\r\n", pause_s=0.05),
        after_the_request(b"", pause_s=2 * DEADLINE_S),
    ],
    ids=["body", "chunks", "headers", "status line", "informational answers", "silence"],
)
def test_an_answer_that_drips_ends_by_the_deadline(connect: Connector, script: Script) -> None:
    refused(connect, script, Unreachable)


def test_a_server_that_reads_nothing_ends_by_the_deadline(connect: Connector) -> None:
    assert isinstance(refused(connect, reads_nothing, Unreachable, b"i" * 2**24), TimedOut)


def test_a_flood_of_informational_answers_ends(connect: Connector) -> None:
    refused(connect, endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), ClientError)


def test_headers_without_end_are_refused(connect: Connector) -> None:
    refused(connect, endless(OK, b"x: " + b"y" * 1000 + b"\r\n"), ClientError)
    refused(connect, endless(OK + b"x: ", b"y" * 2**16), ClientError)


def test_the_deadline_counts_all_attempts_and_pauses(connect: Connector) -> None:
    begun_s = time.monotonic()
    with hostile(after_the_request(b"", pause_s=0.2)) as url:
        client = connect(url, deadline_s=DEADLINE_S, retry=Retry(attempts=1000, first_pause_s=0.01))
        with pytest.raises(Unreachable):
            client.detect(b"i")
        client.close()
    assert time.monotonic() - begun_s < DEADLINE_S + TOLERANCE_S


def test_a_pause_beyond_the_deadline_is_not_begun(connect: Connector, server: ScriptedServer) -> None:
    server.answers(503, retry_after="5")
    with pytest.raises(BusyError):
        connect(server.url, deadline_s=4).detect(b"i")
    assert connect.pauses_s == []


@pytest.mark.parametrize("deadline_s", [0, -1, float("inf"), float("nan")])
def test_a_deadline_that_is_none_is_refused(connect: Connector, deadline_s: float) -> None:
    with pytest.raises(ValueError, match="deadline_s must be greater than 0 and finite"):
        connect("http://127.0.0.1:1", deadline_s=deadline_s)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b" " * 2**24)),
        (b"deflate", zlib.compress(b" " * 2**24)),
        (b"br", b"\x1b"),
        (b"zstd", b"\x28\xb5\x2f\xfd"),
        (b"gzip, gzip", gzip.compress(gzip.compress(b" " * 2**24))),
    ],
    ids=["gzip", "deflate", "br", "zstd", "gzip twice"],  # the bytes of gzip contain the time
)
def test_a_compressed_answer_is_refused_without_expanding_it(connect: Connector, coding: bytes, body: bytes) -> None:
    script = after_the_request(full(body, b"content-encoding: " + coding))
    assert "compressed" in str(refused(connect, script, UnexpectedAnswer))


def test_plain_answers_are_asked_for(connect: Connector, server: ScriptedServer) -> None:
    server.answers(200, b'{"faces": [], "request_id": "r"}')
    assert connect(server.url).detect(b"i").faces == []
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"faces":' * 50_000,
        b'{"faces": [], "request_id": "r", "request_id": "s"}',
        b'{"faces": [], "request_id": "r", "x": NaN}',
        b'{"faces": [], "request_id": "r", "x": -Infinity}',
        b'{"faces": [], "request_id": "r", "x": 1e999}',
        b'{"faces": [], "request_id": "r", "x": ' + b"9" * 100_000 + b"}",
        b'{"faces": [' + b"0," * 1_000_000 + b'0], "request_id": "r"}',
        b'{"faces": {}, "request_id": "r"}',
        b'{"faces": [], "request_id": "\\ud800"}',
        '{"faces": [], "request_id": "r"}'.encode("utf-16"),
        b'{"faces": [], "request_id": "r"} x',
        b"",
        b"\x00",
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_json_that_is_no_answer_is_unexpected(connect: Connector, server: ScriptedServer, body: bytes) -> None:
    server.answers(200, body)
    with pytest.raises(UnexpectedAnswer) as caught:
        connect(server.url).detect(b"i")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("n_results", [0, 1, 3])
def test_an_answer_must_have_a_result_for_each_reference(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse, n_results: int
) -> None:
    facts = verdict.model_dump(mode="json")
    told = {name: facts[name] for name in ("model", "timings_ms", "request_id")}
    server.answers(200, json.dumps({**told, "results": [{"verdict": facts}] * n_results}).encode())
    with pytest.raises(UnexpectedAnswer, match=f"{n_results} results instead of 2"):
        connect(server.url).verify_many(b"p", [b"r", b"s"])


@pytest.mark.parametrize(
    "value",
    [
        b"1e999",
        b"-5",
        b"9" * 5000,
        b"Fri, 31 Dec 9999 23:59:59 -2359",
        b"Mon, 01 Jan 0001 00:00:00 +2359",
        b"Mon, 99999999999999999999 Jan 2000 00:00:00 GMT",
        b"\xff\xfe",
        b"\xd9\xa3",
        b"",
    ],
)
def test_an_absurd_retry_after_is_no_reason_to_crash_or_to_wait(connect: Connector, value: bytes) -> None:
    answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nretry-after: " + value + b"\r\n\r\n"
    error = refused(connect, after_the_request(answer), BusyError)
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= 86_400


def test_a_problem_cannot_write_on_a_terminal_nor_fill_a_log(
    connect: Connector, server: ScriptedServer, no_face: Problem
) -> None:
    hostile_text = "\x1b]0;owned\x07\r\nforged line\u202e" + "x" * 900_000
    facts = no_face.model_dump(mode="json") | {"detail": hostile_text, "request_id": hostile_text}
    server.answers(422, json.dumps(facts).encode())
    with pytest.raises(NoFaceError) as caught:
        connect(server.url).detect(b"i")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3000
    assert r"\x1b]0;owned" in str(caught.value)


def test_an_unknown_code_is_escaped_too_and_the_status_is_that_of_the_answer(
    connect: Connector, server: ScriptedServer, no_face: Problem
) -> None:
    facts = no_face.model_dump(mode="json") | {"code": "\x1b[2J", "status": 10**20, "image": "\n", "available": ["\r"]}
    server.answers(418, json.dumps(facts).encode())
    with pytest.raises(RequestRejected) as caught:
        connect(server.url).detect(b"i")
    error = caught.value
    assert (error.code, error.status, error.image, error.available) == (r"\x1b[2J", 418, r"\n", (r"\r",))


def test_redirects_are_not_followed(connect: Connector, server: ScriptedServer) -> None:
    server.answers(307, location=f"{server.url}/elsewhere").answers(200, b'{"faces": [], "request_id": "r"}')
    with pytest.raises(UnexpectedAnswer):
        connect(server.url).detect(b"i")
    assert len(server.requests) == 1


def test_cookies_are_not_kept(connect: Connector, server: ScriptedServer) -> None:
    answer = b'{"faces": [], "request_id": "r"}'
    server.answers(200, answer, set_cookie="a=b").answers(200, answer)
    client = connect(server.url)
    client.detect(b"i")
    client.detect(b"i")
    assert "cookie" not in server.requests[1].headers


ANSWER = full(b'{"faces": [], "request_id": "r"}')


@pytest.mark.parametrize("at", range(0, len(ANSWER), 7))
def test_a_connection_lost_at_any_byte_is_unreachable(connect: Connector, at: int) -> None:
    refused(connect, after_the_request(ANSWER[:at]), Unreachable)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\x1b[31m",
        b"\x16\x03\x01\x00\x00",
        OK + b"content-length: -1\r\n\r\n",
        OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        OK + b"\x1b[31m: x\r\n\r\n",
        OK + b"set-cookie: \xff\xfe=\x01; expires=Fri, 31 Dec 99999 23:59:59 GMT\r\ncontent-length: 0\r\n\r\n",
    ],
    ids=lambda answer: answer[:24].decode("latin-1"),
)
def test_what_is_no_http_is_an_error_of_the_clients(connect: Connector, answer: bytes) -> None:
    refused(connect, after_the_request(answer), ClientError)
