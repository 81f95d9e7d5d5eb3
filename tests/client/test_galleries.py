"""Galleries of both clients on a server by script: what is sent again, and what is taken for an answer of visavis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from service.client import BusyError, GalleryClient, Retry, UnexpectedAnswer
from service.gallery_openapi import ENROL_ANSWER, IDENTIFY_ANSWER, PERSON_ANSWER, RECEIPT_ANSWER

if TYPE_CHECKING:
    from tests.client.conftest import Connector, Driven, ScriptedServer

FORGET = [("forget", ()), ("forget_person", ("p",)), ("forget_template", ("p", "t"))]
ODD_TAGS = ["", "7", "*", 'W/"7"', '"7", "8"', '"ü"', '"7"\r\nX-Other: 1', '"7']
ODD_KEYS = ["", " ", " a", "a\n", "ü", "a\tb", "k" * 256]
PAST_THE_LAST = 4  # pages that a client must not reach


@pytest.fixture
def gallery(connect: Connector, server: ScriptedServer) -> GalleryClient | Driven:
    return connect(server.url, retry=Retry(first_pause_s=0.0)).gallery("g")


def body(answer: object) -> bytes:
    return json.dumps(answer).encode()


def problem(code: str, status: int = 503) -> bytes:
    return body({"type": f"/errors#{code}", "title": "-", "status": status, "detail": "-", "code": code})


def page(*ids: str, following: str | None) -> bytes:
    people = [PERSON_ANSWER | {"id": each, "templates": []} for each in ids]
    return body({"people": people, "next": following, "request_id": "r"})


@pytest.mark.parametrize("code", ["store_unavailable", "audit_unavailable", "deadline_exceeded", "a_newer_code", None])
@pytest.mark.parametrize(("method", "args"), FORGET)
def test_what_may_be_forgotten_is_not_asked_for_again(
    gallery: GalleryClient | Driven, server: ScriptedServer, method: str, args: tuple[str, ...], code: str | None
) -> None:
    server.answers(503, b"a proxy's page" if code is None else problem(code)).answers(404, problem("not_found", 404))
    with pytest.raises(BusyError):
        getattr(gallery, method)(*args)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", ["busy", "memory_full", "stopping", "not_ready"])
def test_what_was_not_begun_is_asked_for_again(
    gallery: GalleryClient | Driven, server: ScriptedServer, code: str
) -> None:
    server.answers(503, problem(code)).answers(429, problem("rate_limited", 429)).answers(200, body(RECEIPT_ANSWER))
    assert gallery.forget().n_people == 1
    assert len(server.requests) == 3


def test_a_write_under_a_condition_that_may_be_done_is_not_asked_for_again(
    gallery: GalleryClient | Driven, server: ScriptedServer
) -> None:
    for named in ({"must_be_new": True}, {"if_match": '"7"'}):
        server.answers(503, problem("store_unavailable"))
        with pytest.raises(BusyError):
            gallery.put_person("p", **named)
    server.answers(503, problem("store_unavailable")).answers(200, body(PERSON_ANSWER))
    assert gallery.put_person("p").id == "p-1024"  # without a condition it is the same, however often
    assert len(server.requests) == 4


def test_an_enrolment_is_asked_for_again_with_its_key(gallery: GalleryClient | Driven, server: ScriptedServer) -> None:
    server.answers(503, problem("store_unavailable")).answers(200, body(ENROL_ANSWER))
    assert len(gallery.enrol("p", [b"photo"]).enrolled) == 1
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


@pytest.mark.parametrize("tag", ODD_TAGS)
def test_what_is_no_etag_is_refused_before_it_is_sent(
    gallery: GalleryClient | Driven, server: ScriptedServer, tag: str
) -> None:
    for method, args in (*FORGET, ("put_person", ("p",))):
        with pytest.raises(ValueError, match="if_match must be the etag"):
            getattr(gallery, method)(*args, if_match=tag)
    assert server.requests == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_what_is_no_key_is_refused_and_not_replaced(
    gallery: GalleryClient | Driven, server: ScriptedServer, key: str
) -> None:
    with pytest.raises(ValueError, match="idempotency_key must be"):
        gallery.enrol("p", [b"photo"], idempotency_key=key)
    assert server.requests == []


@pytest.mark.parametrize(
    "pages",
    [
        [page(following="cA==")] * PAST_THE_LAST,
        [page("a", following="cA==")] * PAST_THE_LAST,
        [page("b", "a", following=None)],
        [page("a", "a", following=None)],
        [page("b", following="cA=="), page("a", following=None)],
        [page("a", following="")],
        [page("a", following="A" * 1201)],
    ],
    ids=["empty for ever", "the same for ever", "backwards", "twice", "going back", "no cursor", "a long cursor"],
)
def test_a_list_of_people_that_does_not_go_on_is_unexpected(
    gallery: GalleryClient | Driven, server: ScriptedServer, pages: list[bytes]
) -> None:
    for each in pages:
        server.answers(200, each)
    with pytest.raises(UnexpectedAnswer):
        list(gallery.people())
    assert len(server.requests) < PAST_THE_LAST


def test_a_list_of_people_ends_where_it_ends(gallery: GalleryClient | Driven, server: ScriptedServer) -> None:
    server.answers(200, page("a", "ä", following="cA==")).answers(200, page("中", "😀", following=None))
    assert [each.id for each in gallery.people()] == ["a", "ä", "中", "😀"]
    server.answers(200, page(following=None))
    assert list(gallery.people()) == []


@pytest.mark.parametrize("n_faces", [0, 2])
def test_one_face_is_identified_or_all_of_them(
    gallery: GalleryClient | Driven, server: ScriptedServer, n_faces: int
) -> None:
    answer = body(IDENTIFY_ANSWER | {"faces": IDENTIFY_ANSWER["faces"] * n_faces})
    server.answers(200, answer).answers(200, answer)
    assert len(gallery.identify(b"photo", face="all").faces) == n_faces
    with pytest.raises(UnexpectedAnswer, match=f"{n_faces} faces instead of 1"):
        gallery.identify(b"photo")


def test_a_person_may_have_thousands_of_templates(gallery: GalleryClient | Driven, server: ScriptedServer) -> None:
    person = PERSON_ANSWER | {"templates": PERSON_ANSWER["templates"] * 5000}
    server.answers(200, body(person)).answers(200, body(ENROL_ANSWER | {"person": person}))
    assert len(gallery.person("p").templates) == 5000
    assert len(gallery.enrol("p", [b"photo"]).person.templates) == 5000


@pytest.mark.parametrize("facts", [{"note": "Anna's\0"}, {"note": "Anna" * 501}, {"consent": {"reference": "Anna"}}])
def test_a_fact_about_a_person_that_is_refused_is_not_repeated(
    gallery: GalleryClient | Driven, server: ScriptedServer, facts: dict[str, object]
) -> None:
    for method, args in (("put_person", ("p",)), ("enrol", ("p", [b"photo"]))):
        with pytest.raises(ValueError, match=f"^{next(iter(facts))}: ") as refused:
            getattr(gallery, method)(*args, **facts)
        assert "Anna" not in str(refused.value)
    assert server.requests == []


def test_a_long_value_is_cut_in_an_error(gallery: GalleryClient | Driven) -> None:
    with pytest.raises(ValueError, match=r"^face='xxx") as refused:
        gallery.identify(b"photo", face="x" * 10_000)
    assert len(str(refused.value)) < 500
