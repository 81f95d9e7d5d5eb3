"""Where the client's connections come from, and what about them is kept quiet."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import TYPE_CHECKING

import httpx2
import pytest

from service.client import AsyncFaceClient, FaceClient, RateLimitedError, Retry, UnexpectedAnswer, Unreachable

if TYPE_CHECKING:
    from tests.client.conftest import Connector, ScriptedServer

READY = b'{"status": "ready"}'


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "host",
        "http://h?key=s3cret",
        "http://h#s3cret",
        "http://u:s3cret@:x",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(connect: Connector, address: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        connect(address)
    assert "s3cret" not in str(caught.value)


def test_both_or_neither_of_address_and_http_are_refused(connect: Connector) -> None:
    with pytest.raises(TypeError, match="exactly one of"):
        connect()
    with pytest.raises(TypeError, match="exactly one of"):
        connect("http://127.0.0.1", http=object())


def test_the_wrong_kind_of_http_is_refused() -> None:
    with pytest.raises(TypeError, match=r"httpx2\.Client, not AsyncClient"):
        FaceClient(http=httpx2.AsyncClient(base_url="http://127.0.0.1"))
    with pytest.raises(TypeError, match=r"httpx2\.AsyncClient, not Client"):
        AsyncFaceClient(http=httpx2.Client(base_url="http://127.0.0.1"))


def test_an_http_that_does_not_know_where_the_service_is_is_refused(connect: Connector) -> None:
    http = connect.http()
    with pytest.raises(ValueError, match="base_url="):
        connect(http=http)
    connect.close_http(http)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_time_that_is_none_is_refused(connect: Connector, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s must be greater than 0"):
        connect("http://127.0.0.1", timeout_s=timeout_s)


def test_the_repr_names_the_origin_and_no_secret(connect: Connector) -> None:
    shown = repr(connect("http://someone:s3cret@127.0.0.1:81/token"))
    assert shown.endswith("FaceClient('http://127.0.0.1:81')")


def test_a_name_and_password_in_the_address_are_sent_but_never_logged(
    connect: Connector, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(200, READY)
    with caplog.at_level(logging.DEBUG):
        assert connect(server.url.replace("//", "//someone:s3cret@")).ready()
    (request,) = server.requests
    assert request.headers["authorization"] == f"Basic {b64encode(b'someone:s3cret').decode()}"
    assert caplog.records
    assert "s3cret" not in caplog.text


def test_a_path_in_the_address_goes_before_every_route(connect: Connector, server: ScriptedServer) -> None:
    server.answers(200, READY)
    connect(f"{server.url}/faces/").ready()
    assert server.requests[0].path == "/faces/readyz"


def test_a_proxy_of_the_environment_is_not_asked(
    connect: Connector, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.answers(200, READY)
    assert connect(server.url).ready()


def test_a_photo_does_not_follow_a_redirect(connect: Connector, server: ScriptedServer) -> None:
    http = connect.http(base_url=server.url, follow_redirects=True, trust_env=False)
    server.answers(307, location=f"{server.url}/elsewhere")
    with pytest.raises(UnexpectedAnswer) as caught:
        connect(http=http).detect(b"photo")
    assert caught.value.status == 307
    assert len(server.requests) == 1
    connect.close_http(http)


def test_a_clients_own_connections_are_closed_with_it(connect: Connector, server: ScriptedServer) -> None:
    client = connect(server.url)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.ready()


def test_a_callers_http_stays_open(connect: Connector, server: ScriptedServer) -> None:
    http = connect.http(base_url=server.url, trust_env=False)
    server.answers(200, READY).answers(200, READY)
    client = connect(http=http)
    client.close()
    assert client.ready()
    connect.close_http(http)


def test_a_client_closes_at_the_end_of_its_block(server: ScriptedServer) -> None:
    server.answers(200, READY)
    with FaceClient(server.url) as client:
        assert client.ready()
    with pytest.raises(RuntimeError, match="closed"):
        client.ready()


async def test_an_async_client_closes_at_the_end_of_its_block(server: ScriptedServer) -> None:
    server.answers(200, READY)
    async with AsyncFaceClient(server.url) as client:
        assert await client.ready()
    with pytest.raises(RuntimeError, match="closed"):
        await client.ready()


def test_nothing_that_listens_is_unreachable_at_its_origin(connect: Connector, server: ScriptedServer) -> None:
    server.__exit__()
    with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:\d+ \(ConnectError") as caught:
        connect(server.url.replace("//", "//someone:s3cret@")).ready()
    assert "s3cret" not in str(caught.value)


KEY = "visavis_0123abcd_" + "s3cret" * 7 + "x_000000"


def test_the_key_is_sent_with_every_request_and_shown_nowhere(
    connect: Connector, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers(503).answers(200, READY).answers(200, READY)
    client = connect(server.url, api_key=KEY)
    assert [client.ready(), client.ready()] == [False, True]
    http = connect.http(base_url=server.url)
    assert connect(http=http, api_key=KEY).ready()
    connect.close_http(http)
    assert [each.headers["authorization"] for each in server.requests] == [f"Bearer {KEY}"] * 3
    assert "s3cret" not in caplog.text + repr(client)


def test_without_a_key_none_is_sent_also_not_from_the_environment(
    connect: Connector, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_API_KEY", KEY)
    server.answers(200, READY)
    assert connect(server.url).ready()
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("odd", ["", KEY + "\n", f"Bearer {KEY}", KEY + "\r\nX-Other: 1", "schlüssel-s3cret"])
def test_what_is_no_key_is_refused_without_being_repeated(connect: Connector, odd: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        connect("http://127.0.0.1", api_key=odd)
    assert "s3cret" not in str(caught.value)


def test_a_key_beside_a_password_is_refused(connect: Connector) -> None:
    with pytest.raises(ValueError, match="not both") as caught:
        connect("http://me:s3cret@127.0.0.1", api_key=KEY)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b'{"title": "t", "status": 429, "detail": "d", "code": "rate_limited"}'])
def test_a_limit_is_waited_for_within_reason(connect: Connector, server: ScriptedServer, body: bytes) -> None:
    server.answers(429, body, Retry_After="2").answers(200, b"{}").answers(429, body, Retry_After="60")
    client = connect(server.url, retry=Retry(attempts=3))
    with pytest.raises(UnexpectedAnswer):  # the second answer is no model, but it was asked for
        client.model()
    assert 2 <= connect.pauses_s[0] <= 2.25
    with pytest.raises(RateLimitedError) as caught:
        client.model()
    assert (caught.value.status, caught.value.retry_after_s) == (429, 60.0)
    assert len(connect.pauses_s) == 1
