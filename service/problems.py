"""Errors as RFC 9457 problem details: one table of error class -> status, title, cause, remedy; and their handlers."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from embedder import (
    BundleError,
    DigestMismatch,
    DlibFileError,
    FaceError,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    LowQuality,
    ModelError,
    NoFace,
    NotAnImage,
    OperatingPointUnavailable,
    RuntimeUnavailable,
    SampleError,
    SeveralFaces,
    SFaceFileError,
    UnknownLayer,
    VisavisError,
)

from .errors import (
    BodyTooLarge,
    BodyTooSlow,
    Busy,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    NotReady,
    RequestRefused,
    Unavailable,
    UnsupportedMediaType,
)
from .wire import Problem

MEDIA_TYPE = "application/problem+json"
ERRORS_PAGE = "/errors"

KnownError: TypeAlias = type[VisavisError] | type[RequestRefused]


@dataclass(frozen=True, slots=True)
class ProblemType:
    """What is the same for every problem of one class."""

    status: int
    title: str
    cause: str
    remedy: str


_FAILED = "The service failed at a request that it should have answered."
_REPORT = "Send it once more; if it fails again, look up the request_id in the service's log."
_IMAGE = "Save the picture again as JPEG or PNG with an image program, and send that."

TABLE: Mapping[KnownError, ProblemType] = {
    RequestRefused: ProblemType(400, "Request refused", "The request cannot be taken.", "The detail says why."),
    MalformedRequest: ProblemType(
        400,
        "Malformed request",
        "A part or field is missing, unknown, sent twice or of a wrong value, or the body is not what its type says.",
        "The detail names the part or field and says what it takes.",
    ),
    NotFound: ProblemType(404, "No such address", "There is no such route.", "See /docs for the routes there are."),
    MethodNotAllowed: ProblemType(
        405, "Method not allowed", "The route does not take this method.", "Use one that the Allow header names."
    ),
    BodyTooSlow: ProblemType(
        408,
        "Body too slow",
        "The body did not arrive in time, or is shorter than its Content-Length.",
        "Send it again, smaller or over a faster line. The operator sets the time: VISAVIS_BODY_TIMEOUT_S.",
    ),
    DigestMismatch: ProblemType(
        409,
        "Embeddings of another model",
        "The embeddings were made by another model, or in another precision, so their distance means nothing.",
        "Embed the photos again with the model that is served now, in the precision that GET /v1/model tells.",
    ),
    BodyTooLarge: ProblemType(
        413,
        "Body too large",
        "The body is longer than this route's images may be together.",
        "Send smaller images. The operator sets the size of one: VISAVIS_MAX_IMAGE_BYTES.",
    ),
    ImageTooLarge: ProblemType(
        413,
        "Image too large",
        "An image has more bytes, or its header claims more pixels, than is allowed.",
        "Scale it down. The operator sets the limits: VISAVIS_MAX_IMAGE_BYTES and VISAVIS_MAX_PIXELS.",
    ),
    UnsupportedMediaType: ProblemType(
        415,
        "Unsupported kind of body",
        "Content-Type is missing or names a kind that this route does not read, or the body is compressed.",
        "Send multipart/form-data or application/json, uncompressed.",
    ),
    NotAnImage: ProblemType(
        415,
        "Not an image",
        "The bytes are in no image format that is read here.",
        "Send a JPEG, PNG, WebP, BMP, TIFF, GIF, PGM or PPM file.",
    ),
    SampleError: ProblemType(422, "Image cannot be used", "An image cannot be used.", "Send another one."),
    ImageError: ProblemType(422, "Image cannot be read", "The bytes of an image cannot be used.", _IMAGE),
    ImageUnreadable: ProblemType(
        422, "Image unreadable", "The format is known, but the file is broken, cut short or of an odd kind.", _IMAGE
    ),
    FaceError: ProblemType(
        422, "Faces do not fit", "The faces in an image do not fit what was asked.", "Send another one."
    ),
    NoFace: ProblemType(
        422,
        "No face found",
        "No face was found in an image.",
        "Send a photo in which one face is upright and large enough to see.",
    ),
    SeveralFaces: ProblemType(
        422,
        "Several faces found",
        "An image shows more faces than the face rule allows; n_faces says how many.",
        "Send a crop with one face, or choose face=largest or face=center.",
    ),
    LowQuality: ProblemType(
        422,
        "Photo too poor",
        "The photo of a face is poorer than all that the model's penalty for poor photos was measured on; measure says "
        "in what, value what was measured, limit what it takes at least.",
        "Send a better photo, as the detail says, or quality=ignore to compare it all the same and expect errors.",
    ),
    OperatingPointUnavailable: ProblemType(
        422,
        "Operating point unavailable",
        "The model card has no such operating point, or none as strict as that.",
        "Ask for one of those that available lists, or give a threshold.",
    ),
    UnknownLayer: ProblemType(
        422,
        "Unknown layer",
        "The served network has no layer of that name.",
        "Ask for one of those that available lists; GET /v1/layers describes them.",
    ),
    VisavisError: ProblemType(500, "Service failed", _FAILED, _REPORT),
    ModelError: ProblemType(500, "Model failed", "The model cannot be used as asked.", _REPORT),
    BundleError: ProblemType(500, "Model bundle unusable", "The model bundle is missing, broken or altered.", _REPORT),
    DlibFileError: ProblemType(500, "Model file unusable", "A dlib file is not the one that is known.", _REPORT),
    SFaceFileError: ProblemType(500, "Model file unusable", "An SFace file is not the one that is known.", _REPORT),
    RuntimeUnavailable: ProblemType(
        500, "Runtime unavailable", "What is to run the model is not to be had on this machine.", _REPORT
    ),
    InternalError: ProblemType(500, "Service failed", _FAILED, _REPORT),
    Unavailable: ProblemType(503, "Unavailable", "The service cannot take requests now.", "Wait as Retry-After says."),
    Busy: ProblemType(
        503,
        "Busy",
        "As many requests as the service takes are being worked on or waiting.",
        "Wait as Retry-After says. The operator sets how many: VISAVIS_MAX_CONCURRENT and VISAVIS_MAX_WAITING.",
    ),
    NotReady: ProblemType(
        503,
        "Not ready",
        "The model has not answered its first inference yet, or failed at it.",
        "Wait as Retry-After says; if it lasts, see the service's log.",
    ),
}


def problem_type_of(error_type: KnownError) -> ProblemType:
    """Return the kind of the class itself, or of the nearest class above it."""
    return next(TABLE[above] for above in error_type.__mro__ if above in TABLE)


def type_uri(code: str) -> str:
    """Return where the service explains a code."""
    return f"{ERRORS_PAGE}#{code}"


def problem_of(error: Exception, request_id: str | None = None) -> Problem:
    """Describe any error; one that is not foreseen is described as an internal error, without its message."""
    known = error if isinstance(error, VisavisError | RequestRefused) else InternalError()
    kind = problem_type_of(type(known))
    said = {
        "type": type_uri(known.code),
        "title": kind.title,
        "status": kind.status,
        "detail": _detail(known, kind),
        "code": known.code,
        "request_id": request_id,
        "image": getattr(known, "image", None),
        "n_faces": getattr(known, "n_faces", None),
        "available": getattr(known, "available", None),
    }
    if isinstance(known, LowQuality):
        said |= {"measure": known.measure, "value": known.value, "limit": known.limit}
    # A key that says nothing stays unset, and what is unset is not sent.
    return Problem.model_validate({key: value for key, value in said.items() if value is not None})


def problem_response(error: Exception, request_id: str) -> Response:
    """Answer a request with the problem of an error."""
    problem = problem_of(error, request_id)
    headers = error.headers if isinstance(error, RequestRefused) else None
    content = problem.model_dump_json(exclude_unset=True)
    return Response(content, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def _detail(error: VisavisError | RequestRefused, kind: ProblemType) -> str:
    is_ours_to_hide = kind.status == 500  # noqa: PLR2004 - a failure's message is for the log, it may name what it failed at
    return f"{kind.cause} {kind.remedy}" if is_ours_to_hide else str(error)


NEAR = 0.8  # how alike two addresses are, 0 to 1, for one to be taken for a slip of the other
LONGEST_PATH = 100
METHOD_NOT_ALLOWED, NOT_FOUND, FAILED = 405, 404, 500


def install_exception_handlers(app: FastAPI) -> None:
    """Let the app answer every foreseen error with a problem; the unforeseen are the envelope's."""

    async def known(request: Request, error: Exception) -> Response:
        if problem_of(error).status == FAILED:
            raise error  # a failure of ours, foreseen or not: the envelope logs it and answers
        return problem_response(error, request.state.request_id)

    async def framework(request: Request, error: Exception) -> Response:
        return await known(request, _refusal(app, request, error))

    app.add_exception_handler(VisavisError, known)
    app.add_exception_handler(RequestRefused, known)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, framework)


def _refusal(app: FastAPI, request: Request, error: Exception) -> RequestRefused:
    if not isinstance(error, HTTPException):
        return MalformedRequest("the address holds a value that this route does not take; see /docs")
    if error.status_code == NOT_FOUND:
        return NotFound(_no_such_address(app, request.url.path))
    if error.status_code == METHOD_NOT_ALLOWED:
        return MethodNotAllowed((error.headers or {}).get("Allow", ""))
    if error.status_code >= FAILED:
        return InternalError()
    return MalformedRequest("the request cannot be taken as it is; see /docs for what can be asked")


def _no_such_address(app: FastAPI, path: str) -> str:
    known = list(app.openapi()["paths"])
    asked = path[:LONGEST_PATH].rstrip("/")
    near = [match for form in (asked, f"/v1{asked}") for match in get_close_matches(form, known, n=1, cutoff=NEAR)]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no such address here; {hint}see /docs for those there are"
