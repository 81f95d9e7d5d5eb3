"""OpenAPI parts of the routes about galleries: names in the address, headers, problems, example answers."""

from typing import Any

from embedder import FaceCovered, LowQuality, OperatingPointUnavailable, TooManyFaces
from gallery import (
    AlreadyEnrolled,
    AlreadyExists,
    AnotherPerson,
    ClaimUnavailable,
    EnrolmentRefused,
    GalleryTooLarge,
    IdempotencyConflict,
    InvalidValue,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    StoreUnavailable,
    VersionConflict,
)

from .errors import Busy, GalleriesOff, InternalError, MalformedRequest
from .openapi import (
    BODY_PROBLEMS,
    EXAMPLE_REQUEST_ID,
    FACE_PROBLEMS,
    IMAGE_PROBLEMS,
    MODEL_EXAMPLE,
    PROBE_EXAMPLE,
    PROBE_QUALITY_EXAMPLE,
    SAME_EXAMPLE,
    STANDARD_EXAMPLE,
    image_body,
    parameters,
)
from .problem_types import KnownError
from .request_body import JSON
from .request_parsing import OptionsT, RequestSpec
from .wire import LONGEST_ID, LONGEST_KEY, TEMPLATE_ID, Answer, Message

READ_PROBLEMS: tuple[KnownError, ...] = (
    MalformedRequest,
    GalleriesOff,
    NoSuchGallery,
    InternalError,
    Busy,
    StoreUnavailable,
)
PERSON_PROBLEMS: tuple[KnownError, ...] = (*READ_PROBLEMS, NoSuchPerson)
FORGET_PROBLEMS: tuple[KnownError, ...] = (*PERSON_PROBLEMS, VersionConflict)
WRITE_PROBLEMS: tuple[KnownError, ...] = (
    *dict.fromkeys((*BODY_PROBLEMS, *FORGET_PROBLEMS)),
    InvalidValue,
    AlreadyExists,
)
PHOTO_PROBLEMS: tuple[KnownError, ...] = (*dict.fromkeys((*BODY_PROBLEMS, *READ_PROBLEMS)), *IMAGE_PROBLEMS)
ENROL_PROBLEMS: tuple[KnownError, ...] = (
    *dict.fromkeys((*BODY_PROBLEMS, *READ_PROBLEMS)),
    InvalidValue,
    EnrolmentRefused,
    AlreadyEnrolled,
    AnotherPerson,
    GalleryTooLarge,
    IdempotencyConflict,
)
IDENTIFY_PROBLEMS: tuple[KnownError, ...] = (
    *PHOTO_PROBLEMS,
    *FACE_PROBLEMS,
    TooManyFaces,
    GalleryTooLarge,
    ClaimUnavailable,
)
PERSON_VERIFY_PROBLEMS: tuple[KnownError, ...] = (
    *PHOTO_PROBLEMS,
    *FACE_PROBLEMS,
    NoSuchPerson,
    NoSuchTemplate,
    LowQuality,
    FaceCovered,
    OperatingPointUnavailable,
)

ETAG: dict[str, Any] = {
    "ETag": {"description": "The version; for If-Match and If-None-Match.", "schema": {"type": "string"}}
}
VERSIONED = {200, 201, 304}  # statuses
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "If-None-Match names this version."}}

_TIME = "2026-11-30T09:15:00Z"
_TEMPLATE = "0b8e61d2c5f94e6c9a43f0d1b7a2c855"
_QUALITY = {
    name: value
    for name, value in PROBE_QUALITY_EXAMPLE.items()
    if name not in ("covered", "covered_part", "embedding_length", "penalty", "is_too_poor")
}
GALLERY_ANSWER: dict[str, object] = {
    "name": "staff",
    "created_at": _TIME,
    "n_people": 1,
    "n_templates": {MODEL_EXAMPLE["digest"]: 1},
    "etag": '"7"',
    "request_id": EXAMPLE_REQUEST_ID,
}
PERSON_REQUEST: dict[str, object] = {
    "note": "north door",
    "consent": {"reference": "form 2026-118", "given_on": "2026-11-28"},
    "forget_at": "2099-11-30T00:00:00Z",
}
_PERSON: dict[str, object] = {
    "id": "p-1024",
    **PERSON_REQUEST,
    "created_at": _TIME,
    "templates": [
        {
            "id": _TEMPLATE,
            "model_digest": MODEL_EXAMPLE["digest"],
            "quality": _QUALITY,
            "enrolled_at": _TIME,
            "request_id": "ef175a20de325db6",
        }
    ],
    "etag": '"7"',
}
PERSON_ANSWER: dict[str, object] = _PERSON | {"request_id": EXAMPLE_REQUEST_ID}
PEOPLE_ANSWER: dict[str, object] = {"people": [_PERSON], "next": "cC0xMDI0", "request_id": EXAMPLE_REQUEST_ID}
ENROL_ANSWER: dict[str, object] = {
    "person": _PERSON,
    "enrolled": [_TEMPLATE],
    "already_there": [],
    "request_id": "ef175a20de325db6",
}
RECEIPT_ANSWER: dict[str, object] = {
    "kind": "person",
    "gallery": "staff",
    "forgotten_at": _TIME,
    "n_people": 1,
    "n_templates": 1,
    "request_id": EXAMPLE_REQUEST_ID,
}
_SAMPLE_TIMINGS: dict[str, object] = {
    "model": MODEL_EXAMPLE,
    "timings_ms": {"decode": 1.6, "detect": 6.3, "embed": 8.4, "total": 19.2},
    "request_id": "ef175a20de325db6",
}
IDENTIFY_ANSWER: dict[str, object] = {
    "faces": [
        {
            "person": "p-1024",
            "candidates": [
                {
                    "person": "p-1024",
                    "template": _TEMPLATE,
                    "match": True,
                    "distance": 0.3976,
                    "normalized_distance": 0.3976,
                    "probability": 0.999998,
                    "log_likelihood_ratio": 13.2049,
                    "reason": "a match: normalized distance 0.3976 < 1.1404, by the nearest template of this person.",
                }
            ],
            "claim": {
                "n_templates": 1,
                "fpir": 0.00999806,
                "fpir_interval": [0.00606822, 0.0146112],
                "fmr": 0.00999806,
                "threshold": 1.14042,
                "fnir": 0.00407424,
                "fnir_interval": [0.000521765, 0.00893746],
                "is_exact": True,
            },
            "prior": 0.5,
            "sample": PROBE_EXAMPLE,
        }
    ],
    **_SAMPLE_TIMINGS,
}
PERSON_VERIFY_ANSWER: dict[str, object] = {
    **SAME_EXAMPLE,
    **STANDARD_EXAMPLE,
    "template": _TEMPLATE,
    "quality": "refuse",
    "probe": PROBE_EXAMPLE,
    **_SAMPLE_TIMINGS,
}

_PARAMETERS: dict[str, dict[str, Any]] = {
    "gallery": {
        "in": "path",
        "required": True,
        "description": "The name of the gallery.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
        "example": "staff",
    },
    "person": {
        "in": "path",
        "required": True,
        "description": "Your id of the person.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
        "example": "p-1024",
    },
    "template": {
        "in": "path",
        "required": True,
        "description": "The id of the template.",
        "schema": {"type": "string", "pattern": TEMPLATE_ID},
        "example": _TEMPLATE,
    },
    "If-Match": {
        "in": "header",
        "required": False,
        "description": "The ETag of an earlier answer: write only if nothing has changed since.",
        "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    },
    "If-None-Match": {
        "in": "header",
        "required": False,
        "description": "The ETag of an earlier answer: if this is still the version, the answer is 304 without a body.",
        "schema": {"type": "string"},
    },
    "If-None-Match: *": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "Write only if nothing is there.",
        "schema": {"type": "string", "enum": ["*"]},
    },
    "Idempotency-Key": {
        "in": "header",
        "required": False,
        "description": "A key of your own, such as a UUID: a request that is sent again with it is done only once.",
        "schema": {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": LONGEST_KEY},
    },
}


def described(*names: str, options: type[Message] | None = None) -> dict[str, Any]:
    """Describe names in the address, headers, and options of the query."""
    given = [{"name": name, **_PARAMETERS[name]} for name in names]
    return {"parameters": given + ([] if options is None else parameters(options, where=""))}


def small_body(model: type[Message], example: object, *names: str) -> dict[str, Any]:
    """Describe a write with a JSON body, which may be missing."""
    content = {JSON: {"schema": model.whole_schema(), "example": example}}
    return {"requestBody": {"required": False, "content": content}} | described(*names, "If-Match", "If-None-Match: *")


def photo_body(spec: RequestSpec[OptionsT], *names: str) -> dict[str, Any]:
    """Describe a body with images below a gallery."""
    body = image_body(spec)
    return body | {"parameters": described(*names)["parameters"] + body["parameters"]}


def written(answer: type[Answer]) -> dict[int | str, dict[str, Any]]:
    """Describe the answer of a PUT that has made something new."""
    return {201: {"description": "It was not there before.", "model": answer}}


def versioned(answers: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Add the ETag header to the answers about a gallery or a person that are no problems."""
    return answers | {status: answers.get(status, {}) | {"headers": ETAG} for status in {200, *answers} & VERSIONED}
