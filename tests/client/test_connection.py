"""Where the client's connections come from, and what about them is kept quiet."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import TYPE_CHECKING

import httpx2
import pytest

from service.client import AsyncFaceClient, FaceClient, UnexpectedAnswer, Unreachable

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
