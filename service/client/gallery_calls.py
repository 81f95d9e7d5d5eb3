"""The client's calls about galleries as values, as `calls` has those of the other routes. Nothing is sent here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from ..wire import (
    MAX_IMAGES,
    MAX_PAGE,
    ConsentRecord,
    EnrolOptions,
    EnrolResponse,
    ForgetResponse,
    GalleryNames,
    GalleryResponse,
    IdentifyKeywords,
    IdentifyOptions,
    IdentifyResponse,
    PeopleOptions,
    PeopleResponse,
    PersonRequest,
    PersonResponse,
    PersonVerifyKeywords,
    PersonVerifyOptions,
    PersonVerifyResponse,
)
from .calls import MANY_FACES_BYTES, ApiCall, checked, fields_of, require_sequence
from .inputs import ImageInput, read_image

PAGE_BYTES = 2**26  # 1,000 people with some 100 templates each
Headers = tuple[tuple[str, str], ...]


def create(gallery: str, *, must_be_new: bool) -> ApiCall[GalleryResponse]:
    """Build the call that creates a gallery."""
    headers = write_headers(None, must_be_new=must_be_new)
    return ApiCall("PUT", _path(gallery), GalleryResponse, headers=headers, may_repeat=not must_be_new)


def read(gallery: str) -> ApiCall[GalleryResponse]:
    """Build the call for the facts about a gallery."""
    return ApiCall("GET", _path(gallery), GalleryResponse)


def forget(gallery: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a gallery."""
    return _forget(_path(gallery), if_match)


def people(gallery: str, *, cursor: str | None) -> ApiCall[PeopleResponse]:
    """Build the call for a page of people."""
    query = fields_of(checked(PeopleOptions, {"limit": MAX_PAGE, "cursor": cursor}))
    return ApiCall("GET", f"{_path(gallery)}/people", PeopleResponse, query=query, max_answer_bytes=PAGE_BYTES)


def put_person(
    gallery: str, person: str, facts: PersonRequest, *, if_match: str | None, must_be_new: bool
) -> ApiCall[PersonResponse]:
    """Build the call that creates a person, or replaces the facts."""
    return ApiCall(
        "PUT",
        _path(gallery, person),
        PersonResponse,
        json=facts.model_dump_json(exclude_none=True).encode(),
        headers=write_headers(if_match, must_be_new=must_be_new),
        may_repeat=if_match is None and not must_be_new,
    )


def read_person(gallery: str, person: str) -> ApiCall[PersonResponse]:
    """Build the call for a person."""
    return ApiCall("GET", _path(gallery, person), PersonResponse)


def enrol(
    gallery: str,
    person: str,
    photos: Sequence[ImageInput],
    *,
    idempotency_key: str | None,
    **options: object,
) -> ApiCall[EnrolResponse]:
    """Build the call that enrols photos. It has a key, so that photos are enrolled once although it is sent again."""
    fields = fields_of(checked(EnrolOptions, options))
    require_sequence(photos, "photos")
    if not 1 <= len(photos) <= MAX_IMAGES:
        raise ValueError(f"enrol 1 to {MAX_IMAGES} photos at once, not {len(photos)}; split them up")
    return ApiCall(
        "POST",
        f"{_path(gallery, person)}/photos",
        EnrolResponse,
        images=tuple(("image", read_image(photo)) for photo in photos),
        fields=fields,
        headers=(("idempotency-key", idempotency_key or str(uuid4())),),
    )


def identify(gallery: str, photo: ImageInput, **options: Unpack[IdentifyKeywords]) -> ApiCall[IdentifyResponse]:
    """Build the call that identifies the faces of a photo."""
    fields = fields_of(checked(IdentifyOptions, options))
    images = (("probe", read_image(photo)),)
    return ApiCall(
        "POST",
        f"{_path(gallery)}/identify",
        IdentifyResponse,
        images=images,
        fields=fields,
        max_answer_bytes=2 * MANY_FACES_BYTES,
    )


def verify(
    gallery: str, person: str, photo: ImageInput, **options: Unpack[PersonVerifyKeywords]
) -> ApiCall[PersonVerifyResponse]:
    """Build the call that compares a photo with a person."""
    fields = fields_of(checked(PersonVerifyOptions, options))
    images = (("probe", read_image(photo)),)
    return ApiCall("POST", f"{_path(gallery, person)}/verify", PersonVerifyResponse, images=images, fields=fields)


def forget_person(gallery: str, person: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a person."""
    return _forget(_path(gallery, person), if_match)


def forget_template(gallery: str, person: str, template: str, *, if_match: str | None) -> ApiCall[ForgetResponse]:
    """Build the call that forgets a template."""
    return _forget(_path(gallery, person, template), if_match)


def facts(*, note: str | None, consent: ConsentRecord | None, forget_at: datetime | None) -> PersonRequest:
    """Check the facts about a person. Raises ValueError."""
    return checked(PersonRequest, {"note": note, "consent": consent, "forget_at": forget_at})


def write_headers(if_match: str | None, *, must_be_new: bool) -> Headers:
    """Return the headers of a condition."""
    if must_be_new and if_match is not None:
        raise ValueError("pass if_match or must_be_new, not both")
    if must_be_new:
        return (("if-none-match", "*"),)
    return () if if_match is None else (("if-match", if_match),)


def _forget(path: str, if_match: str | None) -> ApiCall[ForgetResponse]:
    headers = write_headers(if_match, must_be_new=False)
    return ApiCall("DELETE", path, ForgetResponse, headers=headers, may_repeat=False)


def _path(gallery: str, person: str | None = None, template: str | None = None) -> str:
    """Return the address of a gallery, a person or a template. Raises ValueError for a name that cannot be one."""
    try:
        GalleryNames(gallery=gallery, person=person, template=template)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{fault['loc'][0]}: {fault['msg']}") from None
    path = f"/v1/galleries/{quote(gallery, safe='')}"
    path += "" if person is None else f"/people/{quote(person, safe='')}"
    return path + ("" if template is None else f"/templates/{template}")
