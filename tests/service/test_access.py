"""Who is answered: keys and scopes, host names, pages of other sites; all before a byte of the body is read."""

import json
import logging
import socket
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute
from live_service import served
from odd_inputs import Reply, Site
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.access.caller import Scope
from service.access.control import NEEDS, PUBLIC, HostNames, need_of
from service.access.keys import KeyFile, KeyGrant, NewKey
from service.app import create_app
from service.errors import UnknownHost
from service.settings import Settings

GUARDED = [path for path, need in NEEDS.items() if need not in (PUBLIC, "metrics", "admin") and "galleries" not in path]
GALLERY, PERSON = "/v1/galleries/{gallery}", "/v1/galleries/{gallery}/people/{person}"
# What a key may do with galleries, by its scope.
OF_SCOPE = {
    "enrol": {("PUT", GALLERY), ("GET", GALLERY), ("GET", f"{GALLERY}/people"), ("PUT", PERSON), ("GET", PERSON),
              ("POST", f"{PERSON}/photos")},
    "identify": {("POST", f"{GALLERY}/identify"), ("POST", f"{PERSON}/verify")},
    "forget": {("DELETE", GALLERY), ("DELETE", PERSON), ("DELETE", f"{PERSON}/templates/{{template}}")},
}  # fmt: skip
OPEN = ["/healthz", "/readyz", "/", "/page/main.js", "/docs", "/docs/start.js", "/openapi.json", "/errors"]
POSTS = ("/v1/verify", "/v1/verify/many", "/v1/faces", "/v1/embeddings", "/v1/embeddings/compare", "/v1/explain",
         "/v1/maps")  # fmt: skip


@pytest.fixture(autouse=True)
def _many_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file alone sends more wrong keys than an address may."""
    monkeypatch.setattr("service.access.rate_limits.FAILED_KEYS", "100000/minute")


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What the service has logged; the tests' client logs addresses, and so does uvicorn if not told otherwise."""
    ours = [record for record in caplog.records if record.name.startswith("visavis")]
    assert ours
    return "\n".join(record.getMessage() for record in ours)


def method_of(path: str) -> str:
    return "POST" if path in POSTS else "GET"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def keys(file: KeyFile) -> dict[str, NewKey]:
    """Keys by what they may do, and keys that are no longer valid."""
    made = {scope: file.create(KeyGrant(scope, (scope,))) for scope in get_args(Scope)}
    made["revoked"] = file.create(KeyGrant("revoked", ("verify",)))
    file.revoke(made["revoked"].record.id)
    long_ago = KeyFile(file.path, now=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    made["expired"] = long_ago.create(KeyGrant("expired", ("verify",), long_ago.now() + timedelta(days=1)))
    return made


@pytest.fixture(scope="module")
def keyed(embedder: FaceEmbedder, file: KeyFile, keys: dict[str, NewKey]) -> Iterator[Site]:
    """A service that needs keys."""
    assert keys
    with served(create_app(Settings(keys=str(file.path), hosts=()), embedder)) as url:
        yield Site(url)


@pytest.fixture(scope="module")
def open_site(embedder: FaceEmbedder) -> Iterator[Site]:
    """A service without keys, on this machine."""
    with served(create_app(Settings(hosts=("face.example.org",)), embedder)) as url:
        yield Site(url)


def bearer(key: NewKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.text}"}


def without_id(reply: Reply) -> dict[str, object]:
    return {name: value for name, value in reply.problem.items() if name != "request_id"}


def all_paths(routes: Iterable[object]) -> Iterator[str]:
    """The paths of an app's routes, also of those in routers."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from all_paths(inner.routes)
        else:
            yield str(getattr(route, "path", route))


def test_every_route_says_who_may_use_it(embedder: FaceEmbedder) -> None:
    paths = set(all_paths(create_app(Settings(), embedder).routes))
    assert paths <= set(NEEDS)
    assert {*POSTS, "/healthz", "/page/{name}"} <= paths


def test_a_route_that_does_not_say_it_stops_the_start() -> None:
    unchecked = Route("/healthz", lambda _: None)  # a route without dependencies
    for route in (APIRoute("/v1/forgotten", lambda: None), unchecked):
        with pytest.raises(RuntimeError, match="NEEDS"):
            need_of(route)
    assert need_of(APIRoute("/healthz", lambda: None)) == PUBLIC


def test_a_route_that_was_added_past_the_check_is_not_served(
    embedder: FaceEmbedder, file: KeyFile, keys: dict[str, NewKey]
) -> None:
    app = create_app(Settings(keys=str(file.path)), embedder)
    app.add_api_route("/v1/forgotten", lambda: {"secret": 1})
    answer = TestClient(app).get("/v1/forgotten", headers=bearer(keys["verify"]))
    assert answer.status_code == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", OPEN)
def test_pages_and_probes_need_no_key(path: str, keyed: Site) -> None:
    assert keyed.request("GET", path).status in ((200, 503) if path == "/readyz" else (200,))


@pytest.mark.parametrize("path", [*GUARDED, "/nothing", "/v1/verify%0A", "/healthz%0A", "/page", "//v1/model"])
def test_all_else_needs_a_key(path: str, keyed: Site) -> None:
    refused = keyed.request(method_of(path), path)
    assert (refused.status, refused.problem["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("scope", ["verify", "embed", "explain", "metrics"])
def test_a_key_opens_the_routes_of_its_scope_only(path: str, scope: str, keyed: Site, keys: dict[str, NewKey]) -> None:
    reply = keyed.request(method_of(path), path, headers=bearer(keys[scope]))
    if NEEDS[path] in ("any key", scope):
        assert reply.status in (200, 415)  # without a body
    else:
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
        assert str(NEEDS[path]) in str(reply.problem["detail"])


@pytest.mark.parametrize("scope", get_args(Scope))
def test_a_key_does_with_galleries_what_its_scope_says_only(scope: str, keyed: Site, keys: dict[str, NewKey]) -> None:
    for method, path in set.union(*OF_SCOPE.values()):
        address = path.format(gallery="g", person="p", template="t")
        assert keyed.request(method, address).status == 401
        reply = keyed.request(method, address, headers=bearer(keys[scope]))
        if (method, path) in OF_SCOPE.get(scope, set()):
            assert (reply.status, reply.problem["code"]) == (404, "galleries_off")  # beyond the check of scopes
        else:
            assert (reply.status, reply.problem["code"]) == (403, "forbidden")


def test_no_route_of_galleries_is_missing_from_the_table_of_scopes() -> None:
    of_galleries = {path for path in NEEDS if "galleries" in path}
    assert of_galleries == {path for _, path in set.union(*OF_SCOPE.values())}


def test_a_key_compares_photos(keyed: Site, keys: dict[str, NewKey], photos: dict[str, bytes]) -> None:
    files = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
    assert json.loads(keyed.post("/v1/verify", files=files, headers=bearer(keys["verify"])).body)["same"]
    unknown = keyed.request("GET", "/v1/verfy", headers=bearer(keys["verify"]))
    assert (unknown.status, "did you mean /v1/verify" in str(unknown.problem["detail"])) == (404, True)


def odd_credentials(keys: dict[str, NewKey]) -> dict[str, list[tuple[str, str]]]:
    text = keys["verify"].text
    wrong = text[:-10] + "0" * 10
    return {
        "missing": [],
        "wrong": [("Authorization", f"Bearer {wrong}")],
        "unknown": [("Authorization", f"Bearer visavis_00000000{text[16:]}")],
        "revoked": [("Authorization", f"Bearer {keys['revoked'].text}")],
        "expired": [("Authorization", f"Bearer {keys['expired'].text}")],
        "of another kind": [("Authorization", "Bearer sk-123")],
        "empty": [("Authorization", "Bearer")],
        "without scheme": [("Authorization", text)],
        "as a password": [("Authorization", "Basic dmlzYXZpczp4")],
        "twice": [("Authorization", f"Bearer {text}"), ("Authorization", f"Bearer {text}")],
        "two in one": [("Authorization", f"Bearer {text} {text}")],
        "another header": [("X-API-Key", text)],
        "a cookie": [("Cookie", f"key={text}")],
    }


def test_what_is_no_valid_key_gets_one_answer_that_tells_nothing(keyed: Site, keys: dict[str, NewKey]) -> None:
    replies = {name: keyed.request("GET", "/v1/model", headers=given) for name, given in odd_credentials(keys).items()}
    first = replies["missing"]
    assert first.status == 401
    hidden = ("x-request-id", "date")
    heads = {name: {k: v for k, v in reply.headers.items() if k not in hidden} for name, reply in replies.items()}
    for name, reply in replies.items():
        assert without_id(reply) == without_id(first), name
        assert heads[name] == heads["missing"], name


@pytest.mark.parametrize("address", ["/v1/model?key={}", "/v1/model?{}", "/{}", "/?key={}", "/page/{}", "/docs/{}"])
@pytest.mark.parametrize("beside", ["verify", None])
def test_a_key_in_the_address_is_refused_and_not_logged(
    address: str, beside: str | None, keyed: Site, keys: dict[str, NewKey], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    text = keys["verify"].text
    headers = bearer(keys[beside]) if beside else {}
    for written in (text, text.replace("_", "%5F")):
        reply = keyed.request("GET", address.format(written), headers=headers)
        assert (reply.status, reply.problem["code"]) == (401, "unauthorized")
        assert text.encode() not in reply.body
    assert text.split("_")[2] not in logged(caplog)


def test_keys_are_in_no_answer_and_no_log(
    keyed: Site, keys: dict[str, NewKey], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for given in odd_credentials(keys).values():
        reply = keyed.request("GET", "/v1/model", headers=given)
        assert keys["verify"].text.split("_")[2].encode() not in reply.body
    metrics = keyed.request("GET", "/metrics", headers=bearer(keys["metrics"]))
    assert metrics.status == 200
    for key in keys.values():
        assert key.text.split("_")[2] not in logged(caplog)
        assert key.text.split("_")[2].encode() not in metrics.body
        assert key.record.hash.encode() not in metrics.body


def raw_post(site: Site, *headers: str) -> bytes:
    """Send the head of a request with a large body, and none of its bytes; return the first of the answer."""
    address = urlsplit(site.url)
    head = f"POST /v1/verify HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9999999\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall((head + "".join(f"{each}\r\n" for each in headers) + "\r\n").encode())
        return connection.recv(200)


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
@pytest.mark.parametrize(("scope", "status"), [(None, 401), ("embed", 403)])
def test_the_answer_does_not_wait_for_the_body(
    expects: tuple[str, ...], scope: str | None, status: int, keyed: Site, keys: dict[str, NewKey]
) -> None:
    given = [] if scope is None else [f"Authorization: Bearer {keys[scope].text}"]
    answer = raw_post(keyed, "Content-Type: multipart/form-data; boundary=x", *given, *expects)
    assert answer.startswith(b"HTTP/1.1 %d" % status)


def test_a_key_is_taken_anew_from_a_changed_file_while_serving(
    embedder: FaceEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.access.keys.REFRESH_S", 0.05)
    file = KeyFile(tmp_path / "keys.json")
    old = file.create(KeyGrant("old", ("verify",)))
    with served(create_app(Settings(keys=str(file.path)), embedder)) as url:
        site = Site(url)
        assert site.request("GET", "/v1/model", headers=bearer(old)).status == 200
        new = file.rotate(old.record.id, timedelta(0))
        until, statuses = time.monotonic() + 10, [200]
        while statuses != [401, 200] and time.monotonic() < until:
            statuses = [site.request("GET", "/v1/model", headers=bearer(key)).status for key in (old, new)]
    assert statuses == [401, 200]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "LOCALHOST:8000", "127.0.0.1", "[::1]:8000", "10.1.2.3:80", "face.example.org"]
)
def test_the_services_own_names_are_known(host: str, open_site: Site) -> None:
    assert open_site.request("GET", "/healthz", headers={"Host": host}).status == 200


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/model", "/v1/verify", "/nothing"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8000",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "face.example.org.evil",
        "app.face.example.org",
    ],
)
def test_another_name_is_refused_before_anything_else(host: str, path: str, open_site: Site) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        refused = open_site.request(method, path, headers={"Host": host})
        assert (refused.status, refused.problem["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("host", ["", "[::1", "me@localhost", "localhost:", "a b"])
def test_what_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(UnknownHost):
        HostNames(frozenset({"localhost"})).check(Headers({"host": host}))


def test_a_preflight_to_another_name_is_refused_too(embedder: FaceEmbedder) -> None:
    app = TestClient(create_app(Settings(origins=("https://app.example.org",), hosts=()), embedder), "http://evil.test")
    asked = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"}
    assert app.options("/v1/verify", headers=asked).status_code == 421


def test_with_keys_the_name_is_checked_where_names_are_set(embedder: FaceEmbedder, file: KeyFile) -> None:
    for hosts, status in (((), 200), (("face.example.org",), 421)):
        app = create_app(Settings(keys=str(file.path), hosts=hosts), embedder)
        assert TestClient(app, "http://other.example.org").get("/healthz").status_code == status


OTHER = {"Origin": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "headers",
    [
        OTHER,
        {"Origin": "null"},
        {"Origin": "https://evil.test"},
        {"Origin": "http://[::1"},  # no address at all
        OTHER | {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_page_of_another_origin_makes_nothing_compute(
    headers: dict[str, str], open_site: Site, photos: dict[str, bytes]
) -> None:
    refused = open_site.post("/v1/faces", files={"image": photos["001-neutral"]}, headers=headers)
    assert (refused.status, refused.problem["code"]) == (403, "cross_site_request")


def test_the_own_page_a_link_and_programs_are_served(open_site: Site, photos: dict[str, bytes]) -> None:
    netloc = urlsplit(open_site.url).netloc
    for headers in (
        {"Origin": f"http://{netloc}", "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"http://{netloc}"},
        {"Origin": f"https://{netloc}"},  # behind a proxy with TLS
        {"Origin": "https://face.example.org", "Host": "face.example.org"},
        {"Sec-Fetch-Site": "none"},
        {},
    ):
        reply = open_site.post("/v1/faces", files={"image": photos["001-neutral"]}, headers=headers)
        assert reply.status == 200, headers
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert [open_site.request("GET", path, headers=link).status for path in ("/", "/v1/model")] == [200, 200]
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert open_site.request("GET", "/v1/layers", headers=embedded).status == 403


def test_a_named_origin_may_ask_and_reads_why_it_is_refused(embedder: FaceEmbedder, file: KeyFile) -> None:
    ours = {"Origin": "https://app.example.org"}
    app = create_app(Settings(origins=(ours["Origin"],)), embedder)
    assert TestClient(app).get("/v1/model", headers=ours).status_code == 200
    keyed = TestClient(create_app(Settings(origins=(ours["Origin"],), keys=str(file.path)), embedder))
    refused = keyed.get("/v1/model", headers=ours)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ours["Origin"])
    asked = ours | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert keyed.options("/v1/verify", headers=asked).status_code == 200
