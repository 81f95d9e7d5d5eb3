"""What the API's description says beyond what FastAPI finds out itself: request bodies, problems, examples.

The dicts here are OpenAPI's own; they go to FastAPI and nowhere else.
"""

from collections import defaultdict
from typing import Any

from embedder import (
    ImageTooLarge,
    ImageUnreadable,
    LowQuality,
    NoFace,
    NotAnImage,
    OperatingPointUnavailable,
    SeveralFaces,
)

from .errors import BodyTooLarge, BodyTooSlow, Busy, InternalError, MalformedRequest, UnsupportedMediaType
from .problems import MEDIA_TYPE, KnownError, problem_type_of, type_uri
from .request_body import FORM, JSON
from .request_parsing import RequestOptions, RequestSpec
from .wire import Message

BODY_PROBLEMS: tuple[KnownError, ...] = (
    MalformedRequest,
    BodyTooSlow,
    BodyTooLarge,
    UnsupportedMediaType,
    InternalError,
    Busy,
)
IMAGE_PROBLEMS: tuple[KnownError, ...] = (ImageTooLarge, NotAnImage, ImageUnreadable)
FACE_PROBLEMS: tuple[KnownError, ...] = (NoFace, SeveralFaces)
PAIR_PROBLEMS: tuple[KnownError, ...] = (
    *BODY_PROBLEMS,
    *IMAGE_PROBLEMS,
    *FACE_PROBLEMS,
    LowQuality,
    OperatingPointUnavailable,
)

EXAMPLE_REQUEST_ID = "5f0c9d2ab1e84c37"
EXAMPLE_IMAGE = "/9j/4AAQSkZJRgABAQ..."


def responses(*errors: KnownError, example: object = None) -> dict[int | str, dict[str, Any]]:
    """Describe the answer 200, and by status every problem that the errors become."""
    by_status: dict[int | str, list[KnownError]] = defaultdict(list)
    for error in errors:
        by_status[problem_type_of(error).status].append(error)
    good = {} if example is None else {200: {"content": {JSON: {"example": example}}}}
    return good | {status: _problems(of_status) for status, of_status in sorted(by_status.items(), key=str)}


def image_body(spec: RequestSpec) -> dict[str, Any]:
    """Describe a body with images, in its two forms."""
    options = RequestOptions.model_json_schema()["properties"]
    properties = {name: _file_part(most) for name, most in spec.images.items()}
    properties |= {name: _form_field(options[name]) for name in spec.options}
    form = {"type": "object", "required": list(spec.images), "properties": properties, "additionalProperties": False}
    example = {name: EXAMPLE_IMAGE if most == 1 else [EXAMPLE_IMAGE] for name, most in spec.images.items()}
    content = {FORM: {"schema": form}, JSON: {"schema": spec.json_form.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def json_body(model: type[Message], example: object) -> dict[str, Any]:
    """Describe a body that is JSON only."""
    content = {JSON: {"schema": model.model_json_schema(), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _file_part(most: int) -> dict[str, Any]:
    one = {"type": "string", "format": "binary", "description": "A JPEG, PNG, WebP, BMP, TIFF, GIF, PGM or PPM file."}
    return one if most == 1 else {"type": "array", "items": one, "minItems": 1, "maxItems": most}


def _form_field(option: dict[str, Any]) -> dict[str, Any]:
    """Drop null from what an option may be: a form leaves the field out instead."""
    first, *_ = option.get("anyOf", [{}])
    return {
        key: value for key, value in {**option, **first}.items() if key not in ("anyOf", "title") and value is not None
    }


def _problems(errors: list[KnownError]) -> dict[str, Any]:
    examples = {error.code: {"summary": problem_type_of(error).title, "value": _example(error)} for error in errors}
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": ", ".join(f"`{error.code}`" for error in errors),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }


def _example(error: KnownError) -> dict[str, Any]:
    kind = problem_type_of(error)
    return {
        "type": type_uri(error.code),
        "title": kind.title,
        "status": kind.status,
        "detail": kind.remedy,
        "code": error.code,
        "request_id": EXAMPLE_REQUEST_ID,
    }
