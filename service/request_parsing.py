"""The images and options that each route accepts, and their validation: the same for forms, JSON and queries."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Generic, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from embedder import VerifyOptions

from . import wire
from .errors import MalformedRequest
from .json_body import LONGEST_TEXT, Base64, Body, JsonOutline, check_bounds, not_json, outline_of
from .wire import (
    MAX_EMBEDDINGS,
    MAX_IMAGES,
    MAX_REFERENCES,
    EmbeddingOptions,
    EmbeddingRequest,
    EnrolOptions,
    EnrolRequest,
    ExplainOptions,
    ExplainRequest,
    FacesRequest,
    IdentifyOptions,
    IdentifyRequest,
    MapsOptions,
    MapsRequest,
    Message,
    PersonFacts,
    PersonVerifyOptions,
    PersonVerifyRequest,
    VerifyManyRequest,
    VerifyRequest,
)

ModelT = TypeVar("ModelT", bound=BaseModel)
OptionsT = TypeVar("OptionsT", bound=Message)
ImageRequest: TypeAlias = (
    VerifyRequest
    | ExplainRequest
    | VerifyManyRequest
    | FacesRequest
    | EmbeddingRequest
    | MapsRequest
    | EnrolRequest
    | IdentifyRequest
    | PersonVerifyRequest
)
MAX_FAULTS_SHOWN = 3
MAX_QUERY_BYTES = 2000  # of an address's query; ten times a form's longest field
LONGEST_NAME = 100  # of an unknown name for which a known one is suggested
MAX_LISTS = (
    2 * MAX_EMBEDDINGS
)  # of a body of embeddings: twice what is allowed, so that a few too many get their own error


@dataclass(frozen=True, slots=True)
class RequestSpec(Generic[OptionsT]):
    """The parts of a request; each image name is required at least once."""

    images: Mapping[str, int]  # name -> maximum number
    options_model: type[OptionsT]
    json_form: type[ImageRequest]
    facts: tuple[str, ...] = ()  # options that may be long, and stand in a body only: addresses are logged
    long_texts: tuple[str, ...] = ()  # the keys of those texts in JSON

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options, which may also be sent in the query unless they are facts."""
        return tuple(self.options_model.model_fields)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a body may have."""
        return (*self.images, *self.options)

    @property
    def n_images(self) -> int:
        """The maximum number of images."""
        return sum(self.images.values())


@dataclass(frozen=True, slots=True)
class ParsedRequest(Generic[OptionsT]):
    """A valid request: image files as bytes, validated options. Its repr shows no image."""

    images: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    options: OptionsT

    def one(self, name: str) -> bytes:
        """Return the only image of that name."""
        (image,) = self.images[name]
        return image


@dataclass(frozen=True, slots=True)
class MultipartForm:
    """The parts of a form, by name; names and counts are validated, values are not."""

    files: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    fields: Mapping[str, str]


class NoOptions(Message):
    """The options of a route that has none."""


VERIFY = RequestSpec({"probe": 1, "reference": 1}, wire.VerifyOptions, VerifyRequest)
EXPLAIN = RequestSpec({"probe": 1, "reference": 1}, ExplainOptions, ExplainRequest)
VERIFY_MANY = RequestSpec({"probe": 1, "reference": MAX_REFERENCES}, wire.VerifyOptions, VerifyManyRequest)
FACES = RequestSpec({"image": 1}, NoOptions, FacesRequest)
MAPS = RequestSpec({"image": 1}, MapsOptions, MapsRequest)
EMBEDDING = RequestSpec({"image": MAX_IMAGES}, EmbeddingOptions, EmbeddingRequest)
ENROL = RequestSpec(
    {"image": MAX_IMAGES},
    EnrolOptions,
    EnrolRequest,
    facts=tuple(PersonFacts.model_fields),
    long_texts=("note", "reference"),
)
IDENTIFY = RequestSpec({"probe": 1}, IdentifyOptions, IdentifyRequest)
PERSON_VERIFY = RequestSpec({"probe": 1}, PersonVerifyOptions, PersonVerifyRequest)


def verify_options(options: wire.VerifyOptions) -> VerifyOptions:
    """Convert the options of a comparison to the embedder's."""
    return VerifyOptions(**options.model_dump(include=set(wire.VerifyOptions.model_fields)))


def query_options(query: bytes, names: Sequence[str]) -> dict[str, str]:
    """Return the options in an address's query. Raises MalformedRequest for an unknown or repeated name."""
    if len(query) > MAX_QUERY_BYTES:
        raise MalformedRequest(f"the query is longer than {MAX_QUERY_BYTES} bytes; send options in the body")
    options: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in names:
            raise MalformedRequest(unknown_name("query option", name, names))
        if name in options:
            raise MalformedRequest(f"{name} was sent more than once in the query; send it once")
        options[name] = value
    return options


def from_form(form: MultipartForm, spec: RequestSpec[OptionsT], query: Mapping[str, str]) -> ParsedRequest[OptionsT]:
    """Validate a form's content, with the options of the query."""
    for name in spec.images:
        if not form.files[name]:
            raise MalformedRequest(f"{name} is missing; send it as a file part, as curl -F {name}=@photo.jpg")
    return ParsedRequest(form.files, options_of(spec.options_model, form.fields, query))


def from_json(body: Body, spec: RequestSpec[OptionsT], query: Mapping[str, str]) -> ParsedRequest[OptionsT]:
    """Validate a JSON body, with the options of the query, and decode its images."""
    outline = outline_of(body, _names(spec.json_form), spec.long_texts)
    request = validated(outline.body, spec.json_form)
    options = options_of(spec.options_model, _sent(request, spec.options_model), query)
    return ParsedRequest({name: _images(request, name, outline) for name in spec.images}, options)


def with_query(
    body: Body, model: type[ModelT], options_model: type[Message], query: Mapping[str, str], *, max_values: int
) -> ModelT:
    """Validate a JSON body without images, with the options of the query."""
    check_bounds(body, _names(model), max_values=max_values, max_lists=MAX_LISTS)
    request = validated(body, model)
    options = options_of(options_model, _sent(request, options_model), query)
    return request.model_copy(update=dict(options))


def small_json(body: Body, model: type[ModelT]) -> ModelT:
    """Validate a JSON body of a few kilobytes, in which a text may be long; an empty one is an empty object."""
    if not body:
        return model()
    request = validated(body, model)
    json.loads(body, object_pairs_hook=_each_key_once)  # also in the objects in it
    return request


def _sent(request: BaseModel, options_model: type[Message]) -> dict[str, object]:
    """The options that a body contains."""
    return {name: getattr(request, name) for name in options_model.model_fields if name in request.model_fields_set}


def options_of(model: type[OptionsT], body: Mapping[str, object], query: Mapping[str, str]) -> OptionsT:
    """Validate the options of body and query together. Raises MalformedRequest."""
    for name in query:
        if name in body:
            raise MalformedRequest(f"{name} was sent in the query and in the body; send it once")
    try:
        return model.model_validate({**body, **query})
    except ValidationError as error:
        raise MalformedRequest(validation_detail(error, tuple(model.model_fields))) from None


def validated(body: Body, model: type[ModelT]) -> ModelT:
    """Validate a JSON body whose size is bounded; the error never contains values of the body."""
    try:
        request = model.model_validate_json(body)
    except ValidationError as error:
        raise MalformedRequest(validation_detail(error, _names(model))) from None
    if _may_repeat_a_key(body, model):
        json.loads(body, object_pairs_hook=_each_key_once)
    return request


def _may_repeat_a_key(body: Body, model: type[BaseModel]) -> bool:
    """A quick check of a valid body: parsing it again in Python takes longer than validating it."""
    has_objects = body.count(b"{") > 1  # whose keys are not those of the model
    return has_objects or b"\\" in body or any(body.count(f'"{name}"'.encode()) > 1 for name in model.model_fields)


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    repeated = next((name for name, n in Counter(name for name, _ in pairs).items() if n > 1), None)
    if repeated is not None:
        raise MalformedRequest(f"{repeated} was sent more than once in the body; send it once")
    return dict(pairs)


def validation_detail(error: ValidationError, names: tuple[str, ...]) -> str:
    """Describe the first faults of a body."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    text = "; ".join(_fault_in_words(fault, names) for fault in faults[:MAX_FAULTS_SHOWN])
    n_more = len(faults) - MAX_FAULTS_SHOWN
    return f"{text}; and {n_more} more faults" if n_more > 0 else text


def _fault_in_words(fault: ErrorDetails, names: tuple[str, ...]) -> str:
    place = ".".join(shown(step)[1:-1] if isinstance(step, str) else str(step) for step in fault["loc"])
    match fault["type"]:
        case "json_invalid":
            return str(not_json(fault["msg"].removeprefix("Invalid JSON: ").partition(" column ")[0]))
        case "model_type":
            return f"the body must be a JSON object with the keys: {', '.join(names)}"
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return unknown_name("field", str(fault["loc"][-1]), names)
        case "two_thresholds":
            return fault["msg"]
        case _:
            return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of a body's keys, required ones first."""
    return tuple(sorted(model.model_fields, key=lambda name: not model.model_fields[name].is_required()))


def _images(request: ImageRequest, name: str, outline: JsonOutline) -> tuple[bytes, ...]:
    texts: str | list[str] = getattr(request, name)
    return tuple(
        _image(outline.base64(text), name, _role(name)) for text in ([texts] if isinstance(texts, str) else texts)
    )


def _image(text: Base64, name: str, role: str | None) -> bytes:
    """Decode base64, which may be a data: URI and may contain line breaks."""
    payload = text
    if text.start().startswith(b"data:"):
        header, comma, _ = text.start().partition(b",")
        if not comma or not header.endswith(b";base64"):
            raise MalformedRequest(f"{name} is a data: URI without ;base64; send the image file as base64", image=role)
        payload = text.without(len(header) + 1)
    try:
        return payload.decoded()
    except ValueError:
        raise MalformedRequest(_not_base64(text.start(), name), image=role) from None


def _not_base64(start: bytes, name: str) -> str:
    if start.lower().startswith((b"http:", b"https:", b"ftp:", b"file:", b"s3:")):
        return f"{name} is an address; the service fetches no addresses: send the image file itself, as base64"
    if len(start) < LONGEST_TEXT and b"." in start[-6:]:  # typical of a path; no image is that short
        return f"{name} looks like a path; the service reads no paths: send the image file itself, as base64"
    return f"{name} is not base64 (the standard alphabet, with padding); send the image file as base64"


def _role(name: str) -> str | None:
    return name if name in ("probe", "reference") else None


_FIRST = ("probe", "image")
_SECOND = ("reference",)
_ALSO_CALLED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("img1", "image1", "image_1", "file1", "photo1", "face1", "source", "source_image"), _FIRST),
    **dict.fromkeys(("img", "file", "photo", "picture", "upload", "selfie", "query", "first", "a"), _FIRST),
    **dict.fromkeys(("image", "images", "files", "probe_image", "probes"), _FIRST),
    **dict.fromkeys(("img2", "image2", "image_2", "file2", "photo2", "face2", "target", "target_image"), _SECOND),
    **dict.fromkeys(("reference_image", "id_photo", "gallery", "candidate", "second", "b"), _SECOND),
    **dict.fromkeys(("references", "targets", "reference[]"), ("reference", "references")),
    **dict.fromkeys(("probe", "embedding", "source_embedding", "vector"), ("probe", "image")),
    **dict.fromkeys(("embeddings", "vectors", "target_embeddings"), ("references",)),
    **dict.fromkeys(("digest", "model", "model_id"), ("model_digest",)),
    **dict.fromkeys(("choice", "face_choice", "select", "face_selection"), ("face",)),
    **dict.fromkeys(("similarity_threshold", "distance_threshold", "cutoff", "max_distance"), ("threshold",)),
    **dict.fromkeys(("fmr", "far", "point", "security_level", "threshold_name"), ("operating_point",)),
    **dict.fromkeys(("enforce_quality", "quality_filter", "qualityfilter", "min_quality"), ("quality",)),
}


def meant_by(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that was probably meant by `name`, or None."""
    if len(name) > LONGEST_NAME:  # comparing texts takes time that grows with the product of their lengths
        return None
    lowered = name.strip().lower()
    for candidate in _ALSO_CALLED.get(lowered, ()):
        if candidate in known:
            return candidate
    return next(iter(get_close_matches(lowered, known, n=1, cutoff=0.75)), None)


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Describe an unknown part or field, with a suggestion and the known names."""
    meant = meant_by(name, known)
    hint = f"did you mean {meant!r}? " if meant else ""
    names = f"the known names are: {', '.join(known)}" if known else "this address has none"
    return f"unknown {kind} {shown(name)}; {hint}{names}"


def shown(text: str, longest: int = 40) -> str:
    """Quote text from a request, truncated and with all non-ASCII characters escaped."""
    return ascii(text if len(text) <= longest else text[:longest] + "...")
