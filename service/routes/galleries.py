"""Galleries and the people in them: create, read, list, forget. No answer holds biometric data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from starlette.status import HTTP_201_CREATED, HTTP_304_NOT_MODIFIED

from gallery import AlreadyExists, Consent, GalleryFacts, NoSuchTemplate, Person, PersonFacts, Receipt, VersionConflict

from .. import gallery_serializers as serializers, wire
from ..audit.gallery_facts import facts_of_receipt
from ..audit.requests import note_facts
from ..errors import GalleriesOff
from ..gallery_openapi import (
    FORGET_PROBLEMS,
    GALLERY_ANSWER,
    NOT_MODIFIED,
    PEOPLE_ANSWER,
    PERSON_ANSWER,
    PERSON_PROBLEMS,
    PERSON_REQUEST,
    READ_PROBLEMS,
    RECEIPT_ANSWER,
    WRITE_PROBLEMS,
    described,
    small_body,
    versioned,
    written,
)
from ..gallery_requests import (
    WriteCondition,
    etag,
    has_version,
    if_version,
    names_of,
    person_before,
    require_unconditional,
    write_condition,
)
from ..openapi import link, responses
from ..request_body import JSON
from ..request_execution import RequestExecutor
from ..request_parsing import options_of
from ..wire import (
    ForgetResponse,
    GalleryNames,
    GalleryRequest,
    GalleryResponse,
    PeopleOptions,
    PeopleResponse,
    PersonNames,
    PersonRequest,
    PersonResponse,
    TemplateNames,
)

if TYPE_CHECKING:
    from gallery import Galleries

GALLERY = "/v1/galleries/{gallery}"
PERSON = f"{GALLERY}/people/{{person}}"
TEMPLATE = f"{PERSON}/templates/{{template}}"
PEOPLE_LINKS = {
    "next": link(
        f"{GALLERY}/people",
        "get",
        description="Read the next page.",
        parameters={"gallery": "$request.path.gallery", "cursor": "$response.body#/next"},
    )
}

RecordT = TypeVar("RecordT", GalleryFacts, Person)


@dataclass(frozen=True, slots=True)
class Written(Generic[RecordT]):
    """What a PUT has written, and whether it was not there before."""

    record: RecordT
    is_new: bool


def router(runner: RequestExecutor) -> APIRouter:
    """Return the router of galleries, of the list of their people, and of a person without photos."""
    routes = new_router(runner)
    for join in (_join_gallery, _join_person, _join_people, _join_forgetting):
        join(routes, runner)
    return routes


def new_router(runner: RequestExecutor) -> APIRouter:
    """Return a router whose routes raise GalleriesOff, before they read a body, if the service keeps no galleries."""

    async def require_galleries() -> None:
        if runner.served.galleries is None:
            raise GalleriesOff

    return APIRouter(tags=["galleries"], dependencies=[Depends(require_galleries)])


def _join_gallery(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.put(
        GALLERY,
        responses=versioned(written(GalleryResponse) | responses(*WRITE_PROBLEMS, example=GALLERY_ANSWER)),
        openapi_extra=small_body(GalleryRequest, {}, "gallery"),
    )
    async def put_gallery(request: Request, response: Response) -> GalleryResponse:
        """Create an empty gallery; one that is there stays as it is. Its name is all that it has."""
        names, condition = names_of(request, GalleryNames), write_condition(request)
        done = await runner.run_reading(
            request,
            lambda hold: runner.body_reader.read_small_json(request, GalleryRequest, hold),
            lambda _: _put_gallery(runner.galleries, names, condition),
        )
        _head(response, done.record.version, is_new=done.is_new)
        return serializers.gallery(done.record, request)

    @routes.get(
        GALLERY,
        response_model=GalleryResponse,
        responses=versioned(responses(*READ_PROBLEMS, example=GALLERY_ANSWER) | NOT_MODIFIED),
        openapi_extra=described("gallery", "If-None-Match"),
    )
    async def gallery(request: Request, response: Response) -> GalleryResponse | Response:
        """Return how many people and templates a gallery has."""
        names = names_of(request, GalleryNames)
        found = await runner.run_without_body(request, lambda: runner.galleries.gallery(names.gallery))
        _head(response, found.version)
        return _unless_had(request, found.version) or serializers.gallery(found, request)


def _join_person(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.put(
        PERSON,
        responses=versioned(written(PersonResponse) | responses(*WRITE_PROBLEMS, example=PERSON_ANSWER)),
        openapi_extra=small_body(PersonRequest, PERSON_REQUEST, "gallery", "person"),
    )
    async def put_person(request: Request, response: Response) -> PersonResponse:
        """Create a person, or replace what is stored beside the photos: note, consent, when to forget the person."""
        names, condition = names_of(request, PersonNames), write_condition(request)
        done = await runner.run_reading(
            request,
            lambda hold: runner.body_reader.read_small_json(request, PersonRequest, hold),
            lambda asked: _put_person(runner.galleries, names, asked, condition),
        )
        _head(response, done.record.version, is_new=done.is_new)
        return serializers.person_answer(done.record, request)

    @routes.get(
        PERSON,
        response_model=PersonResponse,
        responses=versioned(responses(*PERSON_PROBLEMS, example=PERSON_ANSWER) | NOT_MODIFIED),
        openapi_extra=described("gallery", "person", "If-None-Match"),
    )
    async def person(request: Request, response: Response) -> PersonResponse | Response:
        """Return a person, with what is known of each template except the embedding."""
        names = names_of(request, PersonNames)
        found = await runner.run_without_body(request, lambda: runner.galleries.person(names.gallery, names.person))
        _head(response, found.version)
        return _unless_had(request, found.version) or serializers.person_answer(found, request)


def _join_people(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.get(
        f"{GALLERY}/people",
        response_model=PeopleResponse,
        responses=responses(*READ_PROBLEMS, example=PEOPLE_ANSWER, links=PEOPLE_LINKS),
        openapi_extra=described("gallery", options=PeopleOptions),
    )
    async def people(request: Request) -> Response:
        """List the people of a gallery in the order of their ids, a page at a time."""
        names, options = names_of(request, GalleryNames), options_of(PeopleOptions, {}, request.state.query)
        after, limit = person_before(options.cursor), options.limit

        def page() -> str:  # in the thread, because a long one takes a while to write
            found = runner.galleries.people(names.gallery, after=after, limit=limit + 1)
            return serializers.page(found, limit, request).model_dump_json()

        return Response(await runner.run_without_body(request, page), media_type=JSON)


def _join_forgetting(routes: APIRouter, runner: RequestExecutor) -> None:
    answers = responses(*FORGET_PROBLEMS, example=RECEIPT_ANSWER)

    @routes.delete(GALLERY, responses=answers, openapi_extra=described("gallery", "If-Match"))
    async def forget_gallery(request: Request) -> ForgetResponse:
        """Forget a gallery with all people and templates."""
        names = names_of(request, GalleryNames)
        return await _forget(runner, request, lambda kept: partial(kept.forget_gallery, names.gallery))

    @routes.delete(PERSON, responses=answers, openapi_extra=described("gallery", "person", "If-Match"))
    async def forget_person(request: Request) -> ForgetResponse:
        """Forget a person with all templates."""
        names = names_of(request, PersonNames)
        return await _forget(runner, request, lambda kept: partial(kept.forget_person, names.gallery, names.person))

    @routes.delete(
        TEMPLATE,
        responses=responses(*FORGET_PROBLEMS, NoSuchTemplate, example=RECEIPT_ANSWER),
        openapi_extra=described("gallery", "person", "template", "If-Match"),
    )
    async def forget_template(request: Request) -> ForgetResponse:
        """Forget one template of a person. If-Match is about the person."""
        names = names_of(request, TemplateNames)
        return await _forget(
            runner,
            request,
            lambda kept: partial(kept.forget_template, names.gallery, names.person, names.template),
        )


class Forget(Protocol):
    """Forgets something, if it still has the version."""

    def __call__(self, *, if_version: int | None) -> Receipt:
        """Forget."""


async def _forget(
    runner: RequestExecutor, request: Request, method_of: "Callable[[Galleries], Forget]"
) -> ForgetResponse:
    """Run what forgets something, under the condition of the request; answer with the receipt."""
    require_unconditional(request, "if-none-match")
    version = if_version(request)
    done = await runner.run_without_body(request, lambda: method_of(runner.galleries)(if_version=version))
    note_facts(request, facts_of_receipt(done))
    return serializers.receipt(done, request)


def _put_gallery(galleries: "Galleries", names: GalleryNames, condition: WriteCondition) -> Written[GalleryFacts]:
    if condition.if_version is not None:
        return Written(_require_version(galleries.gallery(names.gallery), condition.if_version), is_new=False)
    try:
        return Written(galleries.create_gallery(names.gallery), is_new=True)
    except AlreadyExists:
        if condition.must_be_new:
            raise
    return Written(galleries.gallery(names.gallery), is_new=False)


def _put_person(
    galleries: "Galleries", names: PersonNames, asked: PersonRequest, condition: WriteCondition
) -> Written[Person]:
    put = partial(galleries.put_person, names.gallery, names.person, facts_of(asked))
    if condition.if_version is not None:
        return Written(put(if_version=condition.if_version), is_new=False)
    try:
        return Written(put(must_be_new=True), is_new=True)
    except AlreadyExists:
        if condition.must_be_new:
            raise
    return Written(put(), is_new=False)


def facts_of(asked: wire.PersonFacts) -> PersonFacts:
    """Convert the facts of a request."""
    consent = None if asked.consent is None else Consent(asked.consent.reference, asked.consent.given_on)
    return PersonFacts(asked.note, consent, asked.forget_at)


def _require_version(facts: GalleryFacts, version: int) -> GalleryFacts:
    if facts.version != version:
        raise VersionConflict(f"the gallery has version {facts.version}, not {version}; read it again")
    return facts


def _head(response: Response, version: int, *, is_new: bool = False) -> None:
    """Give an answer its entity tag, and the status of what was not there before."""
    response.headers["ETag"] = etag(version)
    if is_new:
        response.status_code = HTTP_201_CREATED


def _unless_had(request: Request, version: int) -> Response | None:
    """Return the answer to a caller who has this version already; None for others."""
    if not has_version(request, version):
        return None
    return Response(status_code=HTTP_304_NOT_MODIFIED, headers={"ETag": etag(version)})
