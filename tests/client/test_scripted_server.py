"""The fake that the retry tests rest on does what its script says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from tests.client.conftest import ScriptedServer


def test_it_answers_in_the_order_of_the_script(server: ScriptedServer) -> None:
    server.answers(503, b"later", retry_after="2").answers(200, b"now")
    with httpx2.Client(base_url=server.url, trust_env=False) as http:
        first, second = http.get("/a"), http.post("/b", content=b"asked")
    assert (first.status_code, first.content, first.headers["retry-after"]) == (503, b"later", "2")
    assert (second.status_code, second.content) == (200, b"now")


def test_it_notes_what_it_was_asked(server: ScriptedServer) -> None:
    server.answers(200)
    httpx2.post(f"{server.url}/b", content=b"asked", headers={"X-Key": "1"}, trust_env=False)
    (request,) = server.requests
    assert (request.method, request.path, request.body, request.headers["x-key"]) == ("POST", "/b", b"asked", "1")


def test_it_hangs_up_without_a_byte(server: ScriptedServer) -> None:
    server.hangs_up()
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(server.url, trust_env=False)


def test_it_stays_silent(server: ScriptedServer) -> None:
    server.stays_silent()
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(server.url, timeout=0.05, trust_env=False)


def test_it_fails_past_the_end_of_its_script(server: ScriptedServer) -> None:
    assert httpx2.get(server.url, trust_env=False).status_code == 500
