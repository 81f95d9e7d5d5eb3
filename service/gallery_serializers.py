"""Convert the records of galleries to the models of the HTTP answers. Decides nothing."""

from dataclasses import asdict

from fastapi import Request

from gallery import (
    Candidate,
    Claim,
    Enrolment,
    GalleryFacts,
    Identified,
    IdentifiedFace,
    Person,
    PersonComparison,
    Receipt,
    TemplateFacts,
)

from . import wire
from .gallery_requests import cursor_after, etag
from .serializers import judgement, model, operating_point, request_id, sample, timings


def gallery(facts: GalleryFacts, request: Request) -> wire.GalleryResponse:
    """Convert what is known of a gallery."""
    return wire.GalleryResponse(
        name=facts.name,
        created_at=facts.created_at,
        n_people=facts.n_people,
        n_templates=dict(facts.n_templates),
        etag=etag(facts.version),
        request_id=request_id(request),
    )


def person(found: Person) -> wire.Person:
    """Convert a person with the templates."""
    consent = found.facts.consent
    return wire.Person(
        id=found.id,
        note=found.facts.note,
        consent=None if consent is None else wire.Consent(reference=consent.reference, given_on=consent.given_on),
        forget_at=found.facts.forget_at,
        created_at=found.created_at,
        templates=[_template(each) for each in found.templates],
        etag=etag(found.version),
    )


def _template(facts: TemplateFacts) -> wire.TemplateFacts:
    return wire.TemplateFacts(
        id=facts.id,
        model_digest=facts.model_digest,
        quality=wire.TemplateQuality(**asdict(facts.quality)),
        enrolled_at=facts.enrolled_at,
        request_id=facts.request_id,
    )


def person_answer(found: Person, request: Request) -> wire.PersonResponse:
    """Convert a person to an answer."""
    return wire.PersonResponse(**dict(person(found)), request_id=request_id(request))


def page(people: list[Person], limit: int, request: Request) -> wire.PeopleResponse:
    """Convert a page of people; there is a next one if there are more than `limit`."""
    shown = people[:limit]
    return wire.PeopleResponse(
        people=[person(each) for each in shown],
        next=cursor_after(shown[-1].id) if len(people) > limit else None,
        request_id=request_id(request),
    )


def receipt(forgotten: Receipt, request: Request) -> wire.ForgetResponse:
    """Convert a receipt."""
    return wire.ForgetResponse.model_validate(asdict(forgotten) | {"request_id": request_id(request)})


def enrolment(done: Enrolment, request: Request) -> wire.EnrolResponse:
    """Convert what became of the photos of an enrolment."""
    return wire.EnrolResponse(
        person=person(done.person),
        enrolled=list(done.added),
        already_there=list(done.already_there),
        request_id=request_id(request),
    )


def identification(found: Identified, request: Request, total_ms: float) -> wire.IdentifyResponse:
    """Convert whom the faces of a photo may show."""
    return wire.IdentifyResponse(
        faces=[_identified(each) for each in found.faces],
        model=model(found.model),
        timings_ms=timings(found.timings_ms, total_ms),
        request_id=request_id(request),
    )


def _identified(face: IdentifiedFace) -> wire.IdentifiedFace:
    found = face.identification
    return wire.IdentifiedFace(
        person=found.match.person if found.match else None,
        candidates=[] if found.claim is None else [_candidate(each, found.claim) for each in found.candidates],
        claim=None if found.claim is None else wire.Claim.model_validate(asdict(found.claim)),
        prior=found.prior,
        sample=sample(face.sample),
    )


def _candidate(found: Candidate, claimed: Claim) -> wire.Candidate:
    return wire.Candidate(
        person=found.person,
        template=found.template,
        match=found.is_match,
        distance=found.distance,
        normalized_distance=found.normalized_distance,
        probability=found.probability,
        log_likelihood_ratio=found.log_likelihood_ratio,
        reason=_reason(found, claimed),
    )


def _reason(found: Candidate, claimed: Claim) -> str:
    sign, verdict = ("<", "a match") if found.is_match else (">=", "no match")
    numbers = f"normalized distance {found.normalized_distance:.4f} {sign} {claimed.threshold:.4f}"
    return f"{verdict}: {numbers}, by the nearest template of this person."


def person_comparison(
    found: PersonComparison, asked: wire.QualityChoice, request: Request, total_ms: float
) -> wire.PersonVerifyResponse:
    """Convert the comparison with a person; `asked` is the request's `quality`."""
    return wire.PersonVerifyResponse(
        **dict(judgement(found.judgement)),
        operating_point=operating_point(found.operating_point),
        prior=found.prior,
        template=found.template,
        quality=asked,
        probe=sample(found.probe),
        model=model(found.model),
        timings_ms=timings(found.timings_ms, total_ms),
        request_id=request_id(request),
    )
