"""Galleries over HTTP: names, versions, pages and receipts, on a real service with a real store and real photos."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from anyio import sleep_forever
from live_service import until
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from gallery import PersonFacts, open_store
from service.app import create_app
from service.audit.chain import ChainReader
from service.galleries import GalleryUpkeep
from service.settings import Settings

Photos = dict[str, bytes]


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


ALL = [
    ("PUT", "/v1/galleries/g"),
    ("GET", "/v1/galleries/g"),
    ("DELETE", "/v1/galleries/g"),
    ("GET", "/v1/galleries/g/people"),
    ("PUT", "/v1/galleries/g/people/p"),
    ("GET", "/v1/galleries/g/people/p"),
    ("DELETE", "/v1/galleries/g/people/p"),
    ("DELETE", "/v1/galleries/g/people/p/templates/t"),
]
UPLOADS = ["/v1/galleries/g/people/p/photos", "/v1/galleries/g/people/p/verify", "/v1/galleries/g/identify"]


@pytest.mark.parametrize(("method", "path"), [*ALL, *(("POST", path) for path in UPLOADS)])
def test_a_service_without_a_store_says_how_to_turn_galleries_on(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert code_of(answer) == (404, "galleries_off")
    assert "VISAVIS_GALLERY" in answer.json()["detail"]


def test_a_gallery_is_created_once_and_told_and_forgotten_with_a_receipt(gallery_client: httpx2.Client) -> None:
    created, again = gallery_client.put("/v1/galleries/new"), gallery_client.put("/v1/galleries/new", json={})
    assert (created.status_code, again.status_code) == (201, 200)
    told = gallery_client.get("/v1/galleries/new")
    assert told.json() | {"request_id": 0} == again.json() | {"request_id": 0}
    assert (told.json()["name"], told.json()["n_people"], told.json()["n_templates"]) == ("new", 0, {})
    receipt = gallery_client.delete("/v1/galleries/new").json()
    assert {key: receipt[key] for key in ("kind", "gallery", "n_people", "n_templates")} == {
        "kind": "gallery", "gallery": "new", "n_people": 0, "n_templates": 0,
    }  # fmt: skip
    assert code_of(gallery_client.get("/v1/galleries/new")) == (404, "no_such_gallery")
    assert code_of(gallery_client.delete("/v1/galleries/new")) == (404, "no_such_gallery")


def test_the_facts_about_a_person_are_replaced_as_a_whole(gallery_client: httpx2.Client, gallery: str) -> None:
    facts = {
        "note": "north door\nfloor 2, Zoë",
        "consent": {"reference": "form 7", "given_on": "2026-11-28"},
        "forget_at": "2099-01-01T00:00:00+02:00",
    }
    created = gallery_client.put(f"{gallery}/people/p1", json=facts)
    assert created.status_code == 201
    told = gallery_client.get(f"{gallery}/people/p1").json()
    assert (told["note"], told["consent"], told["templates"]) == (facts["note"], facts["consent"], [])
    assert datetime.fromisoformat(told["forget_at"]) == datetime.fromisoformat(str(facts["forget_at"]))
    replaced = gallery_client.put(f"{gallery}/people/p1")
    assert (replaced.status_code, replaced.json()["note"], replaced.json()["consent"]) == (200, None, None)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"note": 7}, "note"),
        ({"note": "a\u0007b"}, "control"),
        ({"note": "n" * 2001}, "2000"),
        ({"name": "Alice"}, "name"),
        ({"consent": {"reference": "x"}}, "given_on"),
        ({"consent": {"reference": "x", "given_on": "2026-11-28", "by": "me"}}, "by"),
        ({"forget_at": "2099-01-01T00:00:00"}, "timezone"),
        ({"forget_at": "2001-01-01T00:00:00Z"}, "passed"),
        ([], "object"),
    ],
)
def test_facts_that_cannot_be_stored_are_refused_by_name(
    gallery_client: httpx2.Client, gallery: str, body: object, word: str
) -> None:
    answer = gallery_client.put(f"{gallery}/people/p1", json=body)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
    assert code_of(gallery_client.get(f"{gallery}/people/p1")) == (404, "no_such_person")


def test_a_body_that_repeats_a_key_is_refused(gallery_client: httpx2.Client, gallery: str) -> None:
    body = '{"consent": {"reference": "a", "reference": "b", "given_on": "2026-11-28"}}'
    answer = gallery_client.put(f"{gallery}/people/p1", content=body, headers={"Content-Type": "application/json"})
    assert code_of(answer) == (400, "malformed_request")
    assert "more than once" in answer.json()["detail"]


def test_a_body_of_another_kind_or_too_long_is_refused(gallery_client: httpx2.Client, gallery: str) -> None:
    form = gallery_client.put(f"{gallery}/people/p1", data={"note": "x"})
    assert code_of(form) == (415, "unsupported_media_type")
    long = gallery_client.put(f"{gallery}/people/p1", json={"note": "x" * 70_000})
    assert code_of(long) == (413, "body_too_large")


NAMES = ["Zoë Ångström", "a b", "a+b", "100%", "%41", "🙂", "a?b#c", "..a", "x" * 200, "李雷"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_decoded_once_and_given_back_as_it_was(
    gallery_client: httpx2.Client, gallery: str, name: str
) -> None:
    url = f"{gallery}/people/{quote(name, safe='')}"
    assert gallery_client.put(url).json()["id"] == name
    assert gallery_client.get(url).json()["id"] == name
    assert [each["id"] for each in gallery_client.get(f"{gallery}/people").json()["people"]] == [name]
    assert gallery_client.delete(url).json()["n_people"] == 1


@pytest.mark.parametrize(
    "written",
    ["x" * 201, "%00", "a%0Ab", "%20a", "a%20", "%E2%80%8B", "%FF", "a%ED%A0%80", "a%E2%80%A8b", "%2e", "%2E%2e"],
)
def test_a_name_that_is_none_is_refused(gallery_client: httpx2.Client, gallery: str, written: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = gallery_client.request(method, f"{gallery}/people/{written}")
        assert answer.status_code in (400, 404, 405)
        assert answer.json()["code"] in ("malformed_request", "not_found", "method_not_allowed")
    assert gallery_client.get(f"{gallery}/people").json()["people"] == []


def test_a_slash_in_a_name_never_reaches_another_resource(
    gallery_client: httpx2.Client, gallery: str, photos: Photos
) -> None:
    enrolled = gallery_client.post(f"{gallery}/people/x/photos", files={"image": photos["001-neutral"]}).json()
    (template,) = enrolled["enrolled"]
    for written in (f"x%2Ftemplates%2F{template}", f"x%2ftemplates/{template}"):
        answer = gallery_client.delete(f"{gallery}/people/{written}")
        assert code_of(answer) == (400, "malformed_request")
    assert len(gallery_client.get(f"{gallery}/people/x").json()["templates"]) == 1


def test_a_write_with_an_old_version_changes_nothing(gallery_client: httpx2.Client, gallery: str) -> None:
    url = f"{gallery}/people/p1"
    first = gallery_client.put(url, json={"note": "1"})
    assert first.headers["etag"] == first.json()["etag"]
    second = gallery_client.put(url, json={"note": "2"}, headers={"If-Match": first.headers["etag"]})
    assert (second.status_code, second.headers["etag"] != first.headers["etag"]) == (200, True)
    late = {"If-Match": first.headers["etag"]}
    for answer in (gallery_client.put(url, json={"note": "3"}, headers=late), gallery_client.delete(url, headers=late)):
        assert code_of(answer) == (412, "version_conflict")
    for tag in ('W/"1"', '"abc"', "1"):
        assert code_of(gallery_client.delete(url, headers={"If-Match": tag})) == (412, "version_conflict")
    assert gallery_client.get(url).json()["note"] == "2"
    assert gallery_client.delete(url, headers={"If-Match": second.headers["etag"]}).status_code == 200


def test_a_version_never_comes_again_after_forgetting(gallery_client: httpx2.Client) -> None:
    tags = []
    for _ in range(3):
        tags.append(gallery_client.put("/v1/galleries/again").headers["etag"])
        tags.append(gallery_client.put("/v1/galleries/again/people/p").headers["etag"])
        gallery_client.delete("/v1/galleries/again")
    assert len(set(tags)) == len(tags)


def test_what_must_be_new_is_refused_if_it_is_there(gallery_client: httpx2.Client, gallery: str) -> None:
    new = {"If-None-Match": "*"}
    assert code_of(gallery_client.put(gallery, headers=new)) == (412, "already_exists")
    assert gallery_client.put(f"{gallery}/people/p1", json={"note": "1"}, headers=new).status_code == 201
    assert code_of(gallery_client.put(f"{gallery}/people/p1", headers=new)) == (412, "already_exists")
    assert gallery_client.get(f"{gallery}/people/p1").json()["note"] == "1"


def test_a_reader_who_has_the_version_gets_304(gallery_client: httpx2.Client, gallery: str) -> None:
    for url in (gallery, f"{gallery}/people/p1"):
        tag = gallery_client.put(url).headers["etag"]
        tag = gallery_client.get(url).headers["etag"]
        for had in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            answer = gallery_client.get(url, headers={"If-None-Match": had})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert gallery_client.get(url, headers={"If-None-Match": '"0"'}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("PUT", "", {"If-Match": "*"}),
        ("PUT", "", {"If-Match": '"1", "2"'}),
        ("PUT", "", {"If-None-Match": '"1"'}),
        ("PUT", "/people/p1", {"If-None-Match": "*", "If-Match": '"1"'}),
        ("DELETE", "", {"If-None-Match": "*"}),
        ("POST", "/people/p1/photos", {"If-Match": '"1"'}),
        ("POST", "/people/p1/photos", {"Idempotency-Key": "x" * 256}),
        ("POST", "/people/p1/photos", {"Idempotency-Key": ""}),
    ],
)
def test_a_condition_that_a_route_does_not_have_is_refused(
    gallery_client: httpx2.Client, gallery: str, method: str, path: str, headers: dict[str, str]
) -> None:
    assert code_of(gallery_client.request(method, gallery + path, headers=headers)) == (400, "malformed_request")


def test_people_come_in_pages_that_a_forgotten_person_does_not_disturb(
    gallery_client: httpx2.Client, gallery: str
) -> None:
    ids = sorted(f"p{n}-ü" for n in range(7))
    for each in ids:
        gallery_client.put(f"{gallery}/people/{quote(each)}")
    found, cursor = [], {}
    while True:
        page = gallery_client.get(f"{gallery}/people", params={"limit": 3} | cursor).json()
        found += [each["id"] for each in page["people"]]
        gallery_client.delete(f"{gallery}/people/{quote(found[-1])}")
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == ids
    assert gallery_client.get(f"{gallery}/people").json()["next"] is None


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=%20", "cursor=" + "A" * 1300, "cursor=w%C3%A4", "page=2"]
)
def test_an_odd_page_is_refused(gallery_client: httpx2.Client, gallery: str, query: str) -> None:
    assert code_of(gallery_client.get(f"{gallery}/people?{query}")) == (400, "malformed_request")


def test_no_name_of_the_address_is_a_query_option(gallery_client: httpx2.Client, gallery: str) -> None:
    answer = gallery_client.get(f"{gallery}/people?gallery=x")
    assert code_of(answer) == (400, "malformed_request")


def with_expired_person(file: Path) -> str:
    """Write a person who had to be forgotten long ago, and one who had not, into a store; gives its address."""
    url = f"sqlite:///{file}"
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    with open_store(url, now=lambda: long_ago) as store:
        store.create_gallery("g")
        store.put_person("g", "expired-name", PersonFacts(forget_at=long_ago + timedelta(days=1)))
        store.put_person("g", "p2", PersonFacts())
    return url


def test_expired_people_are_gone_after_a_start_without_a_request(
    embedder: FaceEmbedder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(gallery=with_expired_person(tmp_path / "gallery.db"), audit=str(tmp_path / "audit"))
    assert b"expired-name" in (tmp_path / "gallery.db").read_bytes()
    caplog.set_level(logging.INFO)
    with TestClient(create_app(settings, embedder)):
        until(lambda: "forgot people whose time had come: 1, with 0 templates" in caplog.text)
    (line,) = [line.fields for line in ChainReader(tmp_path / "audit") if line.fields["event"] == "expired"]
    assert line["decided"] == {"n_people_forgotten": 1, "n_templates_forgotten": 0}
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert (b"expired-name" in left, b"p2" in left, "expired-name" in caplog.text) == (False, True, False)


def test_an_expired_person_is_found_by_no_request(
    embedder: FaceEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: GalleryUpkeep) -> None:
        await sleep_forever()

    monkeypatch.setattr(GalleryUpkeep, "_forget_expired", nothing)
    url = with_expired_person(tmp_path / "gallery.db")
    with TestClient(create_app(Settings(gallery=url), embedder)) as client:
        for method in ("GET", "DELETE"):
            assert code_of(client.request(method, "/v1/galleries/g/people/expired-name")) == (404, "no_such_person")
        assert [each["id"] for each in client.get("/v1/galleries/g/people").json()["people"]] == ["p2"]
        assert client.get("/v1/galleries/g").json()["n_people"] == 1
        assert client.put("/v1/galleries/g/people/expired-name").status_code == 201
