"""Both clients on a real socket: what they send, when they ask again, and how they read what comes back."""

from __future__ import annotations

import gzip
import json
import re
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.client import (
    BusyError,
    NoFaceError,
    Problem,
    Retry,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
    VerifyResponse,
)

if TYPE_CHECKING:
    from tests.client.conftest import Connector, Received, ScriptedServer


def sent(request: Received) -> list[tuple[str, bytes]]:
    """The parts of a multipart request, in order."""
    whole = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.body
    parts = message_from_bytes(whole).get_payload()
    return [(part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts]


def body_of(answer: VerifyResponse | Problem) -> bytes:
    return answer.model_dump_json().encode()


def test_a_pair_arrives_and_the_verdict_comes_back(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse
) -> None:
    server.answers(200, body_of(verdict))
    answer = connect(server.url).verify(b"\x00probe", b"\xffreference\r\n", threshold=0.5)
    assert answer == verdict
    assert sorted(sent(server.requests[0])) == [
        ("face", b"dominant"),
        ("prior", b"0.5"),
        ("probe", b"\x00probe"),
        ("quality", b"refuse"),
        ("reference", b"\xffreference\r\n"),
        ("threshold", b"0.5"),
    ]


def test_the_name_of_a_persons_file_never_leaves_this_machine(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse, tmp_path: Path
) -> None:
    path = tmp_path / "jane-doe.jpg"
    path.write_bytes(b"photo")
    server.answers(200, body_of(verdict))
    with path.open("rb") as file:
        connect(server.url).verify(path, file)
    request = server.requests[0]
    assert request.body.count(b"photo") == 2
    assert b"jane" not in request.body


def test_a_busy_service_is_asked_again_with_the_same_photos(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse
) -> None:
    server.answers(503).answers(503).answers(200, body_of(verdict))
    assert connect(server.url).verify(b"p", b"r") == verdict
    assert [sorted(sent(request)) for request in server.requests] == [sorted(sent(server.requests[0]))] * 3
    first, second = connect.pauses_s
    assert 0.125 <= first <= 0.25 <= second <= 0.5


def test_the_client_waits_as_long_as_it_is_told(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse
) -> None:
    server.answers(503, retry_after="3").answers(200, body_of(verdict))
    assert connect(server.url).verify(b"p", b"r") == verdict
    (pause_s,) = connect.pauses_s
    assert 3 < pause_s <= 3.25


def test_a_lost_connection_is_made_again(connect: Connector, server: ScriptedServer, verdict: VerifyResponse) -> None:
    server.hangs_up().answers(200, body_of(verdict))
    assert connect(server.url).verify(b"p", b"r") == verdict
    assert len(server.requests) == 2


def test_a_service_that_stays_busy_is_left_alone_in_the_end(connect: Connector, server: ScriptedServer) -> None:
    busy = Problem(title="Busy", status=503, detail="every place is taken", code="busy", request_id="r-9")
    for _ in range(3):
        server.answers(503, body_of(busy), retry_after="1")
    with pytest.raises(BusyError, match="every place is taken") as caught:
        connect(server.url, retry=Retry(attempts=3)).verify(b"p", b"r")
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (503, "busy", "r-9")
    assert caught.value.retry_after_s == 1.0
    assert len(server.requests) == 3


def test_a_service_that_asks_for_more_time_than_there_is_is_not_asked_again(
    connect: Connector, server: ScriptedServer
) -> None:
    server.answers(503, b"<html>maintenance</html>", retry_after="3600")
    with pytest.raises(BusyError) as caught:
        connect(server.url).verify(b"p", b"r")
    assert (caught.value.status, caught.value.retry_after_s) == (503, 3600.0)
    assert connect.pauses_s == []


def test_connections_that_stay_lost_are_unreachable(connect: Connector, server: ScriptedServer) -> None:
    for _ in range(4):
        server.hangs_up()
    with pytest.raises(Unreachable, match=re.escape(server.url)) as caught:
        connect(server.url).detect(b"i")
    assert caught.value.status is None
    assert len(server.requests) == 4


def test_an_answer_that_does_not_come_in_time_is_not_asked_for_twice(
    connect: Connector, server: ScriptedServer
) -> None:
    server.stays_silent()
    with pytest.raises(TimedOut, match="longer timeout_s"):
        connect(server.url, timeout_s=0.1).detect(b"i")
    assert len(server.requests) == 1


def test_a_callers_http_keeps_its_own_timeout(connect: Connector, server: ScriptedServer) -> None:
    server.stays_silent()
    http = connect.http(base_url=server.url, timeout=0.1, trust_env=False)
    with pytest.raises(TimedOut):
        connect(http=http).detect(b"i")
    connect.close_http(http)


def test_a_problem_is_raised_as_its_kind_at_once(connect: Connector, server: ScriptedServer, no_face: Problem) -> None:
    server.answers(422, body_of(no_face), content_type="application/problem+json")
    with pytest.raises(NoFaceError) as caught:
        connect(server.url).verify(b"p", b"r")
    assert (caught.value.image, caught.value.request_id) == ("probe", "r-2")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>hello</html>"),
        (200, b'{"verified": true}'),
        (200, b""),
        (404, b'{"detail": "Not Found"}'),
        (502, b"<html>Bad Gateway</html>"),
        (500, b"\xff\xfe"),
    ],
)
def test_another_program_on_the_port_is_recognised(
    connect: Connector, server: ScriptedServer, status: int, body: bytes
) -> None:
    server.answers(status, body)
    with pytest.raises(UnexpectedAnswer, match="is it visavis there") as caught:
        connect(server.url).verify(b"p", b"r")
    assert caught.value.status == status


def test_an_answer_that_cannot_be_unpacked_is_unexpected(connect: Connector, server: ScriptedServer) -> None:
    server.answers(200, gzip.compress(b"{}")[:5] + b"broken", content_encoding="gzip")
    with pytest.raises(UnexpectedAnswer, match="cannot be decoded"):
        connect(server.url).detect(b"i")


def test_an_embedding_in_an_answer_that_does_not_fit_is_not_shown(connect: Connector, server: ScriptedServer) -> None:
    server.answers(200, json.dumps({"embedding": [0.123456789] * 3}).encode())
    with pytest.raises(UnexpectedAnswer) as caught:
        connect(server.url).embed(b"i")
    assert "123456789" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_an_answer_may_say_more_than_this_client_knows(
    connect: Connector, server: ScriptedServer, verdict: VerifyResponse
) -> None:
    server.answers(200, json.dumps({**verdict.model_dump(mode="json"), "something_new": "unknown here"}).encode())
    assert connect(server.url).verify(b"p", b"r") == verdict


def test_a_service_that_is_not_ready_is_asked_once(connect: Connector, server: ScriptedServer) -> None:
    server.answers(503, retry_after="1").answers(200, b'{"status": "ready"}')
    client = connect(server.url)
    assert client.ready() is False
    assert client.ready() is True
    assert connect.pauses_s == []


def test_another_program_on_the_port_is_not_ready_but_unexpected(connect: Connector, server: ScriptedServer) -> None:
    server.answers(404)
    with pytest.raises(UnexpectedAnswer):
        connect(server.url).ready()
