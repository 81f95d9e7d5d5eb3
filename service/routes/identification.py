"""Photos and galleries: enrol them, identify whom they show, compare them with a person."""

from fastapi import APIRouter, Request, Response

from gallery import Enrolment, EnrolmentRefused, Identified, PersonComparison

from .. import gallery_serializers as serializers
from ..audit.gallery_facts import facts_of_enrolment, facts_of_identification, facts_of_person_comparison
from ..audit.requests import note_facts
from ..gallery_openapi import (
    ENROL_ANSWER,
    ENROL_PROBLEMS,
    IDENTIFY_ANSWER,
    IDENTIFY_PROBLEMS,
    PERSON_VERIFY_ANSWER,
    PERSON_VERIFY_PROBLEMS,
    photo_body,
    versioned,
)
from ..gallery_requests import etag, idempotency_key, names_of, require_unconditional
from ..openapi import link, responses
from ..request_body import JSON
from ..request_execution import RequestExecutor
from ..request_parsing import ENROL, IDENTIFY, PERSON_VERIFY, ParsedRequest
from ..serializers import request_id
from ..wire import (
    EnrolOptions,
    EnrolResponse,
    GalleryNames,
    IdentifyOptions,
    IdentifyResponse,
    PersonNames,
    PersonVerifyOptions,
    PersonVerifyResponse,
    QualityChoice,
)
from .galleries import GALLERY, PERSON, TEMPLATE, facts_of, new_router

_ENROLLED = {"gallery": "$request.path.gallery", "person": "$response.body#/person/id"}
ENROL_LINKS = {
    "person": link(PERSON, "get", description="Read the person.", parameters=_ENROLLED),
    "verify": link(f"{PERSON}/verify", description="Compare a photo with the person.", parameters=_ENROLLED),
    "forget": link(
        TEMPLATE,
        "delete",
        description="Forget the oldest template of the person.",
        parameters=_ENROLLED | {"template": "$response.body#/person/templates/0/id"},
    ),
}


def router(runner: RequestExecutor) -> APIRouter:
    """Return the router of enrolment, identification, and verification of an enrolled person."""
    routes = new_router(runner)
    _join_enrolment(routes, runner)
    _join_probes(routes, runner)
    return routes


def _join_enrolment(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.post(
        f"{PERSON}/photos",
        responses=versioned(responses(*ENROL_PROBLEMS, example=ENROL_ANSWER, links=ENROL_LINKS)),
        openapi_extra=photo_body(ENROL, "gallery", "person", "Idempotency-Key"),
    )
    async def enrol(request: Request, response: Response) -> EnrolResponse:
        """Enrol up to 16 photos of a person, who is created if missing: all of them or none. No photo is kept.

        Note, consent and when to forget the person are written with them; what is left out stays as it is.
        """
        names, key, asked_as = names_of(request, PersonNames), idempotency_key(request), request_id(request)
        require_unconditional(request, "if-match", "if-none-match")
        done = await runner.run(request, ENROL, lambda parsed: _enrol(runner, names, parsed, key, asked_as))
        note_facts(request, facts_of_enrolment(done))
        response.headers["ETag"] = etag(done.person.version)
        return serializers.enrolment(done, request)


def _join_probes(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.post(
        f"{GALLERY}/identify",
        response_model=IdentifyResponse,
        responses=responses(*IDENTIFY_PROBLEMS, example=IDENTIFY_ANSWER),
        openapi_extra=photo_body(IDENTIFY, "gallery"),
    )
    async def identify(request: Request) -> Response:
        """Find out whom a photo shows, if anybody in the gallery. No liveness detection."""
        names = names_of(request, GalleryNames)
        found, answer = await runner.run(request, IDENTIFY, lambda parsed: _identify(runner, names, parsed, request))
        request.state.stages_ms["search"] = found.search_ms
        note_facts(request, facts_of_identification(found))
        return Response(answer, media_type=JSON)

    @routes.post(
        f"{PERSON}/verify",
        responses=responses(*PERSON_VERIFY_PROBLEMS, example=PERSON_VERIFY_ANSWER),
        openapi_extra=photo_body(PERSON_VERIFY, "gallery", "person"),
    )
    async def verify(request: Request) -> PersonVerifyResponse:
        """Decide whether a photo shows a person, by the nearest of the person's templates. No liveness detection."""
        names = names_of(request, PersonNames)
        found, quality = await runner.run(request, PERSON_VERIFY, lambda parsed: _verify(runner, names, parsed))
        note_facts(request, facts_of_person_comparison(found, quality))
        return serializers.person_comparison(found, quality, request, runner.elapsed_ms(request))


def _enrol(
    runner: RequestExecutor,
    names: PersonNames,
    parsed: ParsedRequest[EnrolOptions],
    idempotency: str | None,
    asked_as: str,
) -> Enrolment:
    try:
        return runner.galleries.enrol(
            names.gallery,
            names.person,
            parsed.images["image"],
            face=parsed.options.face,
            allow_duplicate=parsed.options.allow_duplicate,
            facts=facts_of(parsed.options),
            request_id=asked_as,
            idempotency=idempotency,
        )
    except EnrolmentRefused as refused:
        runner.observe(refused)
        raise


def _verify(
    runner: RequestExecutor, names: PersonNames, parsed: ParsedRequest[PersonVerifyOptions]
) -> tuple[PersonComparison, QualityChoice]:
    found = runner.galleries.verify(names.gallery, names.person, parsed.one("probe"), **dict(parsed.options))
    return found, parsed.options.quality


def _identify(
    runner: RequestExecutor, names: GalleryNames, parsed: ParsedRequest[IdentifyOptions], request: Request
) -> tuple[Identified, str]:
    """Identify, and write the answer, which takes a while for many faces with many candidates."""
    found = runner.galleries.identify(names.gallery, parsed.one("probe"), **dict(parsed.options))
    return found, serializers.identification(found, request, runner.elapsed_ms(request)).model_dump_json()
