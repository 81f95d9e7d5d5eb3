"""A form or a JSON body -> the Submission it stands for, or MalformedRequest with what to do about it."""

import binascii
from base64 import b64decode
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .errors import MalformedRequest
from .forms import MultipartForm
from .hints import shown, unknown_name
from .shapes import ImageRequest, ParsedRequest, RequestOptions, RequestSpec

ModelT = TypeVar("ModelT", bound=BaseModel)
MAX_FAULTS_TOLD = 3


def from_form(form: MultipartForm, shape: RequestSpec) -> ParsedRequest:
    """Check what a form holds."""
    for name in shape.images:
        if not form.files[name]:
            raise MalformedRequest(f"{name} is missing; send it as a file part, as curl -F {name}=@photo.jpg")
    try:
        options = RequestOptions.model_validate(form.fields)
    except ValidationError as error:
        raise MalformedRequest(validation_detail(error, shape.names)) from None
    return ParsedRequest(form.files, options)


def from_json(body: bytes, shape: RequestSpec) -> ParsedRequest:
    """Check what a JSON body holds, and decode its images."""
    request = validated(body, shape.json_form)
    images = {name: _images(request, name) for name in shape.images}
    options = RequestOptions.model_validate({name: getattr(request, name) for name in shape.options})
    return ParsedRequest(images, options)


def validated(body: bytes, model: type[ModelT]) -> ModelT:
    """Read a JSON body; what is told about a faulty one never holds the values that were sent."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise MalformedRequest(validation_detail(error, _names(model))) from None


def validation_detail(error: ValidationError, names: tuple[str, ...]) -> str:
    """Say what is wrong with a body, naming its first few faults."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = "; ".join(_fault_in_words(fault, names) for fault in faults[:MAX_FAULTS_TOLD])
    n_more = len(faults) - MAX_FAULTS_TOLD
    return f"{told}; and {n_more} more faults" if n_more > 0 else told


def _fault_in_words(fault: ErrorDetails, names: tuple[str, ...]) -> str:
    place = ".".join(shown(step)[1:-1] if isinstance(step, str) else str(step) for step in fault["loc"])
    match fault["type"]:
        case "json_invalid":
            return f"the body is no JSON ({fault['msg'].removeprefix('Invalid JSON: ')})"
        case "model_type":
            return f"the body must be a JSON object with the names: {', '.join(names)}"
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return unknown_name("field", str(fault["loc"][-1]), names)
        case "two_thresholds":
            return fault["msg"]
        case _:
            return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    """Name what a body may hold, what it must hold first."""
    return tuple(sorted(model.model_fields, key=lambda name: not model.model_fields[name].is_required()))


def _images(request: ImageRequest, name: str) -> tuple[bytes, ...]:
    texts: str | list[str] = getattr(request, name)
    return tuple(_image(text, name) for text in ([texts] if isinstance(texts, str) else texts))


def _image(text: str, name: str) -> bytes:
    """Decode base64, with or without a data: URI around it and line breaks within."""
    payload = text
    if text.startswith("data:"):
        header, _, payload = text.partition(",")
        if not header.endswith(";base64"):
            raise MalformedRequest(
                f"{name} is a data: URI without ;base64; send the image file as base64", image=_role(name)
            )
    try:
        return b64decode("".join(payload.split()), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRequest(_not_base64(text, name), image=_role(name)) from None


def _not_base64(text: str, name: str) -> str:
    start = text[:12].lower()
    if start.startswith(("http://", "https://", "ftp://", "file:", "s3://")):
        return f"{name} is an address; addresses are not fetched here: send the image file itself, as base64"
    if len(text) < 300 and "." in text[-6:]:  # noqa: PLR2004 - as a path would be; no image is that short
        return f"{name} looks like a path; paths are not read here: send the image file itself, as base64"
    return f"{name} is not base64 (the standard alphabet, with padding); send the image file as base64"


def _role(name: str) -> str | None:
    return name if name in ("probe", "reference") else None
