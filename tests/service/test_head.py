"""HEAD on a route of GET is answered like GET, without the body."""

import logging

import httpx2
import pytest
from odd_inputs import Site
from starlette.testclient import TestClient

PATHS = (
    "/", "/page/main.js", "/docs", "/docs/start.js", "/openapi.json", "/errors", "/healthz", "/readyz", "/v1/model",
    "/v1/layers", "/v1/atlas",
)  # fmt: skip
DIFFERING = ("x-request-id", "date")


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_status_and_headers_of_get(path: str, site: Site) -> None:
    head, get = (site.request(method, path) for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (get.status, b"") == (200, b"")
    kept = [{name: text for name, text in reply.headers.items() if name not in DIFFERING} for reply in (head, get)]
    assert kept[0] == kept[1]
    assert int(head.headers["content-length"]) == len(get.body) > 0


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/v1/verify", 405), ("/healthz?nonsense=1", 400)])
def test_head_is_refused_where_get_is(path: str, status: int, client: TestClient) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (status, b"")


def test_the_connection_goes_on_after_head(site: Site) -> None:
    with httpx2.Client(base_url=site.url) as connection:
        answers = [connection.request(method, "/v1/model") for method in ("HEAD", "HEAD", "GET")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [bool(answer.content) for answer in answers] == [False, False, True]


def test_head_is_logged_as_head(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.head("/healthz")
    assert "HEAD /healthz 200" in caplog.text


def test_a_get_route_says_that_it_has_head(client: TestClient) -> None:
    assert client.post("/healthz").headers["allow"] == "GET, HEAD"
    assert client.head("/v1/verify").headers["allow"] == "POST"
