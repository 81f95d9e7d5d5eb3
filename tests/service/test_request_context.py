"""Around every answer: a request id, security headers, and one line in the log that names nobody."""

import logging
import re
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from service.request_context import RequestContextMiddleware

SAFE = re.compile(r"[0-9a-f]{16}")


def test_every_answer_has_an_id_of_its_own_in_header_and_body(client: TestClient, examples: Path) -> None:
    photo = (examples / "001-neutral.jpg").read_bytes()
    answers = [client.post("/v1/faces", files={"image": photo}), client.get("/nothing"), client.get("/healthz")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    assert all(SAFE.fullmatch(each) for each in ids)
    assert [answer.json()["request_id"] for answer in answers[:2]] == ids[:2]


def test_an_id_of_the_callers_is_kept(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "Job_7.a-b"}).headers["x-request-id"] == "Job_7.a-b"


@pytest.mark.parametrize("odd", ["", "a b", "x" * 65, "id\tid", "<script>", "é"])
def test_an_odd_id_is_replaced(odd: str, client: TestClient) -> None:
    answer = client.get("/healthz", headers={"X-Request-Id": odd.encode()})
    assert SAFE.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/model"])
def test_no_answer_is_kept_or_sniffed_or_framed(path: str, client: TestClient) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_log_has_one_line_a_request_and_names_nobody(
    client: TestClient, examples: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    photo = (examples / "001-neutral.jpg").read_bytes()
    client.post("/v1/faces?who=alice", files={"image": ("alice.jpg", photo)}, headers={"X-Request-Id": "zero"})
    client.post("/v1/faces", files={"image": ("alice.jpg", photo)}, headers={"X-Request-Id": "one"})
    client.get("/photos/alice-smith.jpg", headers={"X-Request-Id": "two"})
    lines = [record.getMessage() for record in caplog.records if record.name == "visavis.access"]
    assert re.fullmatch(r"POST /v1/faces 400 \d+ ms id=zero code=malformed_request", lines[0])
    assert re.fullmatch(r"POST /v1/faces 200 \d+ ms id=one", lines[1])
    assert re.fullmatch(r"GET \(no route\) 404 \d+ ms id=two code=not_found", lines[2])
    assert "alice" not in " ".join(record.getMessage() for record in caplog.records if record.name != "httpx2")


async def test_a_client_that_left_is_logged_and_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sent: list[object] = []

    async def left(_: Scope, __: Receive, ___: Send) -> None:
        raise ClientDisconnect

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        raise AssertionError

    await RequestContextMiddleware(left)({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert sent == []
    assert " 499 " in caplog.text


async def test_a_failure_after_the_answer_began_ends_it_without_a_second_one() -> None:
    sent: list[str] = []

    async def fails_late(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> dict[str, str]:
        raise AssertionError

    await RequestContextMiddleware(fails_late)({"type": "http", "method": "GET", "headers": []}, receive, send)
    assert sent == ["http.response.start"]
