"""Galleries by the real client, waiting and async, on a real service with a real store and real photographs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import pytest

from service.client import (
    AlreadyEnrolledError,
    AlreadyExistsError,
    AnotherPersonError,
    AsyncFaceClient,
    AsyncGalleryClient,
    ClaimUnavailableError,
    ConsentRecord,
    EnrolmentRefusedError,
    FaceClient,
    GalleryClient,
    NotThereError,
    RequestRejected,
    Retry,
    VersionConflictError,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]


@pytest.fixture(params=["waiting", "async"])
def ask_gallery(request: pytest.FixtureRequest, gallery_url: str) -> Iterator[Ask]:
    """Ask for a new gallery: the name of a method of its client and its arguments -> the answer."""
    name = f"Zoë's people {uuid4()}"
    if request.param == "waiting":
        with FaceClient(gallery_url) as client:
            gallery = client.gallery(name)
            gallery.create(must_be_new=True)
            yield lambda method, *args, **named: _whole(getattr(gallery, method)(*args, **named))
        return
    with asyncio.Runner() as runner:
        client = AsyncFaceClient(gallery_url)
        gallery = client.gallery(name)
        runner.run(gallery.create(must_be_new=True))
        yield lambda method, *args, **named: runner.run(_awaited(getattr(gallery, method)(*args, **named)))
        runner.run(client.aclose())


def _whole(answer: object) -> object:
    return list(answer) if inspect.isgenerator(answer) else answer


async def _awaited(answer: object) -> object:
    return [each async for each in answer] if inspect.isasyncgen(answer) else await answer


def test_people_are_enrolled_identified_and_forgotten(ask_gallery: Ask, photo: Photo) -> None:
    done = ask_gallery("enrol", "p 1", [photo("001-neutral")])
    assert (len(done.enrolled), done.already_there, done.person.id) == (1, [], "p 1")
    (face,) = ask_gallery("identify", photo("001-smiling"), fpir=0.05, limit=1).faces
    assert (face.person, face.candidates[0].template, face.candidates[0].match) == ("p 1", done.enrolled[0], True)
    assert ask_gallery("identify", photo("005-smiling")).faces[0].person is None
    assert ask_gallery("verify", "p 1", photo("001-smiling"), operating_point="fmr-1e-4").same is True
    assert ask_gallery("read").n_people == 1
    receipt = ask_gallery("forget_template", "p 1", done.enrolled[0])
    assert (receipt.kind, receipt.n_templates) == ("template", 1)
    assert ask_gallery("forget_person", "p 1").n_people == 1
    with pytest.raises(NotThereError) as missing:
        ask_gallery("person", "p 1")
    assert missing.value.code == "no_such_person"
    assert ask_gallery("forget").kind == "gallery"


def test_the_facts_about_a_person_arrive_as_they_were_given(ask_gallery: Ask) -> None:
    consent = ConsentRecord(reference="form 7", given_on=date(2026, 11, 28))
    forget_at = datetime(2099, 1, 1, tzinfo=UTC)
    ask_gallery("put_person", "p1", note="north\ndoor", consent=consent, forget_at=forget_at)
    person = ask_gallery("person", "p1")
    assert (person.note, person.consent.model_dump(), person.forget_at) == (
        "north\ndoor",
        consent.model_dump(),
        forget_at,
    )


def test_facts_are_enrolled_with_the_photos(ask_gallery: Ask, photo: Photo) -> None:
    consent = ConsentRecord(reference="form \u4e03", given_on=date(2026, 11, 28))
    forget_at = datetime(2099, 1, 1, tzinfo=UTC)
    done = ask_gallery("enrol", "p1", [photo("001-neutral")], note="north\ndoor", consent=consent, forget_at=forget_at)
    assert (done.person.note, done.person.consent.model_dump()) == ("north\ndoor", consent.model_dump())
    again = ask_gallery("enrol", "p1", [photo("001-smiling")], note="south")
    assert (again.person.note, again.person.forget_at, len(again.person.templates)) == ("south", forget_at, 2)


def test_a_write_comes_too_late_or_finds_one_there(ask_gallery: Ask) -> None:
    first = ask_gallery("put_person", "p1", must_be_new=True)
    with pytest.raises(AlreadyExistsError):
        ask_gallery("put_person", "p1", must_be_new=True)
    with pytest.raises(AlreadyExistsError):
        ask_gallery("create", must_be_new=True)
    ask_gallery("put_person", "p1", note="x", if_match=first.etag)
    for method, args in (("put_person", ("p1",)), ("forget_person", ("p1",)), ("forget", ())):
        with pytest.raises(VersionConflictError):
            ask_gallery(method, *args, if_match=first.etag)


def test_all_people_are_listed_over_several_pages(ask_gallery: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.gallery_calls.PAGE", 2)
    ids = [f"p{n}" for n in range(5)]
    for each in ids:
        ask_gallery("put_person", each)
    assert [each.id for each in ask_gallery("people")] == ids


def test_a_refusal_has_an_error_of_its_own_with_the_reasons(ask_gallery: Ask, photo: Photo, nobody: bytes) -> None:
    ask_gallery("enrol", "p1", [photo("001-neutral")])
    with pytest.raises(EnrolmentRefusedError) as refused:
        ask_gallery("enrol", "p2", [photo("005-neutral"), nobody])
    assert [(each.photo, each.code) for each in refused.value.refusals] == [(1, "no_face")]
    with pytest.raises(AnotherPersonError):
        ask_gallery("enrol", "p1", [photo("005-neutral")])
    with pytest.raises(AlreadyEnrolledError) as known:
        ask_gallery("enrol", "p2", [photo("001-smiling")])
    assert known.value.refusals[0].person == "p1"
    assert len(ask_gallery("enrol", "p2", [photo("001-smiling")], allow_duplicate=True).enrolled) == 1
    with pytest.raises(ClaimUnavailableError) as unclaimed:
        ask_gallery("identify", photo("001-smiling"), fpir=1e-12)
    assert unclaimed.value.largest_n == 0
    assert unclaimed.value.strictest_fpir > 0


def test_a_key_of_the_callers_own_enrols_once(ask_gallery: Ask, photo: Photo) -> None:
    first = ask_gallery("enrol", "p1", [photo("001-neutral")], idempotency_key="once")
    again = ask_gallery("enrol", "p1", [photo("001-neutral")], idempotency_key="once")
    assert again.enrolled == first.enrolled
    with pytest.raises(RequestRejected, match="idempotency key was used for another request"):
        ask_gallery("enrol", "p1", [photo("001-smiling")], idempotency_key="once")


def test_what_cannot_be_sent_is_refused_before_a_photo_travels(ask_gallery: Ask) -> None:
    for method, args in (
        ("person", ("",)),
        ("person", ("a/b",)),
        ("person", ("..",)),
        ("forget_template", ("p", "a/b")),
        ("enrol", ("p", [])),
        ("enrol", ("p", [b""] * 17)),
    ):
        with pytest.raises(ValueError, match=r"person|template|photos"):
            ask_gallery(method, *args)
    with pytest.raises(ValueError, match="if_match or must_be_new"):
        ask_gallery("put_person", "p", if_match='"1"', must_be_new=True)
    with pytest.raises(TypeError, match="must be a sequence"):
        ask_gallery("enrol", "p", b"photo")


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")}

    assert methods(GalleryClient) == methods(AsyncGalleryClient)
    assert set(methods(GalleryClient)) >= {"enrol", "identify", "forget_person"}


class LosesAnswers(httpx2.BaseTransport):
    """Sends requests, and loses the first answers."""

    def __init__(self, n: int) -> None:
        self._real, self.n = httpx2.HTTPTransport(), n
        self.sent: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        response = self._real.handle_request(request)
        if len(self.sent) <= self.n:
            response.read()
            response.close()
            raise httpx2.ReadError("lost", request=request)
        return response

    def close(self) -> None:
        self._real.close()


def test_an_enrolment_is_sent_again_if_its_answer_is_lost_and_done_once(gallery_url: str, photo: Photo) -> None:
    name = str(uuid4())
    with FaceClient(gallery_url) as client:
        client.gallery(name).create()
    lossy = LosesAnswers(2)
    with httpx2.Client(base_url=gallery_url, transport=lossy) as http:
        gallery = FaceClient(http=http, retry=Retry(first_pause_s=0.0), sleep=lambda _: None).gallery(name)
        done = gallery.enrol("p1", [photo("001-neutral")])
        keys = {request.headers["idempotency-key"] for request in lossy.sent}
        assert (len(lossy.sent), len(keys)) == (3, 1)
        assert len(gallery.person("p1").templates) == len(done.enrolled) == 1


def test_what_was_forgotten_is_not_asked_for_again_if_the_answer_is_lost(gallery_url: str) -> None:
    name = str(uuid4())
    with FaceClient(gallery_url) as client:
        client.gallery(name).create()
    lossy = LosesAnswers(1)
    with httpx2.Client(base_url=gallery_url, transport=lossy) as http:
        client = FaceClient(http=http, retry=Retry(first_pause_s=0.0), sleep=lambda _: None)
        with pytest.raises(Exception, match="no answer from"):
            client.gallery(name).forget()
    assert len(lossy.sent) == 1
