"""The client's calls about galleries as values, as `calls` has those of the other routes. Nothing is sent here."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypedDict, Unpack
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from ..wire import (
    ALL_FACES,
    LONGEST_CURSOR,
    LONGEST_KEY,
    MAX_IMAGES,
    PAGE,
    ConsentRecord,
    DecisionKeywords,
    EnrolOptions,
    EnrolResponse,
    ForgetResponse,
    GalleryNames,
    GalleryResponse,
    IdentifyOptions,
    IdentifyResponse,
    PeopleOptions,
    PeopleResponse,
    PersonNames,
    PersonRequest,
    PersonResponse,
    PersonVerifyOptions,
    PersonVerifyResponse,
    QualityChoice,
    TemplateNames,
)
from .calls import MANY_FACES_BYTES, ApiCall, checked, fields_of, require_sequence
from .errors import UnexpectedAnswer
from .inputs import ImageInput, read_image

PAGE_BYTES = 2**24  # 100 people with some 100 templates each
PERSON_BYTES = 2**24  # one person with 20,000 templates
ENTITY_TAG = re.compile(r'"[!#-~]*"')
KEY = re.compile("[!-~]([ -~]*[!-~])?")
Headers = tuple[tuple[str, str], ...]


class PersonKeywords(TypedDict, total=False):
    """`PersonFacts` as keywords of the client's methods."""

    note: str | None
    consent: ConsentRecord | None
    forget_at: datetime | None


class PutPersonKeywords(PersonKeywords, total=False):
    """`PersonRequest` and the condition of the write as keywords of the client's methods."""

    if_match: str | None
    must_be_new: bool


class EnrolKeywords(PersonKeywords, total=False):
    """`EnrolOptions` and the key of the request as keywords of the client's methods."""

    face: str | int
    allow_duplicate: bool
    idempotency_key: str | None


class IdentifyKeywords(TypedDict, total=False):
    """`IdentifyOptions` as keywords of the client's methods."""

    face: str | int
    fpir: float
    prior: float | None
    limit: int


class PersonVerifyKeywords(DecisionKeywords, total=False):
    """`PersonVerifyOptions` as keywords of the client's methods."""

    face: str | int
    quality: QualityChoice


def create(gallery: str, *, must_be_new: bool) -> ApiCall[GalleryResponse]:
    """Build the call that creates a gallery."""
    headers = write_headers(None, must_be_new=must_be_new)
    return ApiCall("PUT", _gallery(gallery), GalleryResponse, headers=headers, may_repeat=not must_be_new)


def read(gallery: str) -> ApiCall[GalleryResponse]:
    """Build the call for the facts about a gallery."""
    return ApiCall("GET", _gallery(gallery), GalleryResponse)


def forget(gallery: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a gallery."""
    return _forget(_gallery(gallery), if_match)


def people(gallery: str, *, cursor: str | None) -> ApiCall[PeopleResponse]:
    """Build the call for a page of people."""
    query = fields_of(checked(PeopleOptions, {"limit": PAGE, "cursor": cursor}))
    return ApiCall("GET", f"{_gallery(gallery)}/people", PeopleResponse, query=query, max_answer_bytes=PAGE_BYTES)


def next_cursor(page: PeopleResponse, last: str) -> str | None:
    """Return the cursor of the page after this one, which itself comes after the person `last`; None = there is none.

    Raises UnexpectedAnswer for a page that does not go on from there: such a list might never end.
    """
    ids = [last, *(each.id for each in page.people)]
    if any(one >= other for one, other in pairwise(ids)):
        raise UnexpectedAnswer("the service listed people out of order, or twice; is it visavis there?")
    if page.next is not None and not (page.people and 0 < len(page.next) <= LONGEST_CURSOR):
        raise UnexpectedAnswer("the service listed people with a next page that cannot be one; is it visavis there?")
    return page.next


def put_person(gallery: str, person: str, **given: Unpack[PutPersonKeywords]) -> ApiCall[PersonResponse]:
    """Build the call that creates a person, or replaces the facts."""
    if_match, must_be_new = given.pop("if_match", None), given.pop("must_be_new", False)
    return ApiCall(
        "PUT",
        _person(gallery, person),
        PersonResponse,
        json=checked(PersonRequest, given).model_dump_json(exclude_none=True).encode(),
        headers=write_headers(if_match, must_be_new=must_be_new),
        max_answer_bytes=PERSON_BYTES,
        may_repeat=if_match is None and not must_be_new,
    )


def read_person(gallery: str, person: str) -> ApiCall[PersonResponse]:
    """Build the call for a person."""
    return ApiCall("GET", _person(gallery, person), PersonResponse, max_answer_bytes=PERSON_BYTES)


def enrol(
    gallery: str, person: str, photos: Sequence[ImageInput], **options: Unpack[EnrolKeywords]
) -> ApiCall[EnrolResponse]:
    """Build the call that enrols photos. It has a key, so that photos are enrolled once although it is sent again."""
    key = _key(options.pop("idempotency_key", None))
    fields = fields_of(checked(EnrolOptions, options))
    require_sequence(photos, "photos")
    if not 1 <= len(photos) <= MAX_IMAGES:
        raise ValueError(f"enrol 1 to {MAX_IMAGES} photos at once, not {len(photos)}; split them up")
    return ApiCall(
        "POST",
        f"{_person(gallery, person)}/photos",
        EnrolResponse,
        images=tuple(("image", read_image(photo)) for photo in photos),
        fields=fields,
        headers=(("idempotency-key", key),),
        max_answer_bytes=PERSON_BYTES,
    )


def identify(gallery: str, photo: ImageInput, **options: Unpack[IdentifyKeywords]) -> ApiCall[IdentifyResponse]:
    """Build the call that identifies the faces of a photo."""
    fields = fields_of(checked(IdentifyOptions, options))
    images = (("probe", read_image(photo)),)
    return ApiCall(
        "POST",
        f"{_gallery(gallery)}/identify",
        IdentifyResponse,
        images=images,
        fields=fields,
        n_faces=None if options.get("face") == ALL_FACES else 1,
        max_answer_bytes=2 * MANY_FACES_BYTES,
    )


def verify(
    gallery: str, person: str, photo: ImageInput, **options: Unpack[PersonVerifyKeywords]
) -> ApiCall[PersonVerifyResponse]:
    """Build the call that compares a photo with a person."""
    fields = fields_of(checked(PersonVerifyOptions, options))
    images = (("probe", read_image(photo)),)
    return ApiCall("POST", f"{_person(gallery, person)}/verify", PersonVerifyResponse, images=images, fields=fields)


def forget_person(gallery: str, person: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a person."""
    return _forget(_person(gallery, person), if_match)


def forget_template(gallery: str, person: str, template: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a template."""
    return _forget(_template(gallery, person, template), if_match)


def write_headers(if_match: str | None, *, must_be_new: bool) -> Headers:
    """Return the headers of a condition."""
    if must_be_new and if_match is not None:
        raise ValueError("pass if_match or must_be_new, not both")
    if must_be_new:
        return (("if-none-match", "*"),)
    return () if if_match is None else (("if-match", _entity_tag(if_match)),)


def _entity_tag(text: str) -> str:
    if ENTITY_TAG.fullmatch(text) is None:
        raise ValueError("if_match must be the etag of an earlier answer, as it stands there, with its quotes")
    return text


def _key(given: str | None) -> str:
    """Return the key of an enrolment: the caller's, else a new one. Raises ValueError."""
    if given is None:
        return str(uuid4())
    if len(given) > LONGEST_KEY or KEY.fullmatch(given) is None:
        raise ValueError(
            f"idempotency_key must be 1 to {LONGEST_KEY} printable ASCII characters without blanks at its ends"
        )
    return given


def _forget(path: str, if_match: str | None) -> ApiCall[ForgetResponse]:
    headers = write_headers(if_match, must_be_new=False)
    return ApiCall("DELETE", path, ForgetResponse, headers=headers, may_repeat=False)


def _gallery(name: str) -> str:
    """Return the address of a gallery. Raises ValueError for a name that cannot be one."""
    return f"/v1/galleries/{_written(GalleryNames, gallery=name)}"


def _person(gallery: str, person: str) -> str:
    return f"{_gallery(gallery)}/people/{_written(PersonNames, gallery=gallery, person=person)}"


def _template(gallery: str, person: str, template: str) -> str:
    last = _written(TemplateNames, gallery=gallery, person=person, template=template)
    return f"{_person(gallery, person)}/templates/{last}"


def _written(kind: type[GalleryNames], **names: str) -> str:
    """Return the last of the names as it stands in an address. Raises ValueError, which does not repeat it."""
    try:
        *_, last = dict(kind.model_validate(names)).values()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{fault['loc'][0]}: {fault['msg']}") from None
    return quote(last, safe="")
