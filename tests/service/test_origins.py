"""Browsers let pages of other origins use the service only if its operator names these origins."""

from collections.abc import Iterator

import pytest
from live_service import served
from odd_inputs import Reply, Site
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.settings import Settings, SettingsError, load_settings

OURS, ALSO_OURS, FOREIGN = "https://app.example.org", "http://localhost:3000", "https://evil.example.org"


@pytest.fixture(scope="module")
def open_site(embedder: FaceEmbedder) -> Iterator[Site]:
    """A service that two origins may use."""
    with served(create_app(Settings(origins=(OURS, ALSO_OURS)), embedder)) as url:
        yield Site(url)


def preflight(site: Site, origin: str, *, method: str = "POST", headers: str = "content-type,x-request-id") -> Reply:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return site.request("OPTIONS", "/v1/verify", headers=asked)


def cors_headers(reply: Reply) -> set[str]:
    return {name for name in reply.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [OURS, ALSO_OURS])
def test_a_page_of_a_named_origin_may_ask_and_read(origin: str, open_site: Site, photos: dict[str, bytes]) -> None:
    asked = preflight(open_site, origin)
    assert asked.status == 200
    assert asked.headers["access-control-allow-origin"] == origin
    assert "POST" in asked.headers["access-control-allow-methods"]
    allowed = asked.headers["access-control-allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "X-Request-Id"} <= set(allowed)
    files = {"image": photos["001-neutral"]}
    answer = open_site.post("/v1/faces", files=files, headers={"Origin": origin, "X-Request-Id": "my-id"})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["x-request-id"] == "my-id"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


def test_a_preflight_has_an_id_and_the_headers_of_every_answer(open_site: Site) -> None:
    headers = preflight(open_site, OURS).headers
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/nothing", "/v1/verify", "/v1/model?nonsense=1", "/v1/atlas"])
def test_a_problem_may_be_read_too(path: str, open_site: Site) -> None:
    reply = open_site.request("GET", path, headers={"Origin": OURS})
    assert reply.headers["access-control-allow-origin"] == OURS
    assert path == "/v1/atlas" or reply.problem["status"] == reply.status >= 400


def test_a_failure_of_the_service_may_be_read_too(embedder: FaceEmbedder) -> None:
    app = create_app(Settings(origins=(OURS,)), embedder)

    @app.get("/fails")
    async def fail() -> None:
        raise KeyError

    answer = TestClient(app).get("/fails", headers={"Origin": OURS})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("origin", [FOREIGN, "null", OURS + ".evil.org", "http://app.example.org", OURS + ":8443"])
def test_a_page_of_another_origin_reads_nothing(origin: str, open_site: Site) -> None:
    refused = preflight(open_site, origin)
    assert refused.status == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = open_site.request("GET", "/v1/model", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "headers"), [("PATCH", "content-type"), ("POST", "x-api-key")])
def test_other_methods_and_headers_are_not_allowed(method: str, headers: str, open_site: Site) -> None:
    assert preflight(open_site, OURS, method=method, headers=headers).status == 400


@pytest.mark.parametrize(
    ("method", "headers"),
    [("PUT", "content-type,if-match"), ("DELETE", "if-match"), ("POST", "idempotency-key"), ("GET", "if-none-match")],
)
def test_galleries_can_be_written_by_pages_of_named_origins(method: str, headers: str, open_site: Site) -> None:
    allowed = preflight(open_site, OURS, method=method, headers=headers)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, OURS)


def test_credentials_are_never_allowed(open_site: Site) -> None:
    replies = [preflight(open_site, OURS), open_site.request("GET", "/healthz", headers={"Origin": OURS})]
    assert all("access-control-allow-credentials" not in reply.headers for reply in replies)


def test_by_default_no_other_origin_is_allowed(site: Site) -> None:
    asked = preflight(site, OURS)
    assert (asked.status, asked.problem["code"]) == (403, "cross_site_request")
    assert cors_headers(asked) == cors_headers(site.request("GET", "/healthz", headers={"Origin": OURS})) == set()


def test_a_star_allows_every_origin_without_credentials(embedder: FaceEmbedder) -> None:
    client = TestClient(create_app(Settings(origins=("*",)), embedder))
    headers = client.get("/healthz", headers={"Origin": FOREIGN}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        (OURS, (OURS,)),
        (f"{OURS}, {ALSO_OURS}", (OURS, ALSO_OURS)),
        ("*", ("*",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("http://127.0.0.1", ("http://127.0.0.1",)),
    ],
)
def test_origins_are_read_from_a_list_with_commas(
    text: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_ORIGINS", text)
    assert load_settings().origins == origins


@pytest.mark.parametrize(
    "odd",
    [
        "app.example.org",
        "https://app.example.org/",
        "https://app.example.org/page",
        "https://App.example.org",
        "https://app.example.org:443",
        "http://app.example.org:80",
        "https://user:password@app.example.org",
        "https://*.example.org",
        "https://bücher.example",
        "https://a.example?x=1",
        "ftp://app.example.org",
        "null",
        "https://",
        "https://a.example,",
        "https://a.example https://b.example",
        "*,https://a.example",
        '["https://a.example"]',
    ],
)
def test_what_is_not_an_origin_is_refused_at_the_start(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_ORIGINS", odd)
    with pytest.raises(SettingsError, match="VISAVIS_ORIGINS"):
        load_settings()
