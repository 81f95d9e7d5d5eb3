"""The client's calls as values: one function per route, each returns an `ApiCall`. Nothing is sent here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar, Unpack

from pydantic import BaseModel, ValidationError

from ..wire import (
    ALL_FACES,
    MAX_IMAGES,
    MAX_REFERENCES,
    Answer,
    CompareResponse,
    DecisionKeywords,
    DecisionOptions,
    EmbedAllResponse,
    EmbeddingResponse,
    ExplainOptions,
    ExplainResponse,
    FaceOption,
    FacesResponse,
    Health,
    Message,
    ModelResponse,
    VerifyKeywords,
    VerifyManyResponse,
    VerifyOptions,
    VerifyResponse,
)
from .errors import printable
from .inputs import EmbeddingInput, ImageInput, comparison_of, read_image

ONE_IMAGE = (str, bytes, bytearray, memoryview)  # sequences, but not of images

MANY_FACES_BYTES = 2**23  # 256 faces with embeddings take some 4 KB each, a crowd of 1,500 faces 0.4 KB
EXPLAIN_BYTES = 2**24  # two chips and two maps as pictures
LONGEST_SHOWN = 100  # characters of an option's value in an error
COMPARE_BYTES, RESULT_BYTES = 2**16, 2**12

AnswerT = TypeVar("AnswerT", bound=Answer)
OptionsT = TypeVar("OptionsT", bound=Message)


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[AnswerT]):
    """One request to the service and the type of its answer. Its repr shows no image and no embedding."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    answer: type[AnswerT]
    images: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)  # (part name, image file)
    fields: tuple[tuple[str, str], ...] = ()  # form fields beside the images
    json: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    may_repeat: bool = True  # whether it may be sent again although the service may have done it
    n_results: int = 0  # results that the answer must have
    n_faces: int | None = None  # faces that it must have; None = any number
    max_answer_bytes: int = 2**20  # several times what this service sends


def verify(probe: ImageInput, reference: ImageInput, **options: Unpack[VerifyKeywords]) -> ApiCall[VerifyResponse]:
    """Build the call that compares two images."""
    fields = fields_of(checked(VerifyOptions, options))
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/verify", VerifyResponse, images=images, fields=fields)


def verify_many(
    probe: ImageInput, references: Sequence[ImageInput], **options: Unpack[VerifyKeywords]
) -> ApiCall[VerifyManyResponse]:
    """Build the call that compares a probe with several references."""
    fields = fields_of(checked(VerifyOptions, options))
    require_sequence(references, "references")
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise ValueError(f"verify with 1 to {MAX_REFERENCES} references, not {len(references)}; split them up")
    images = (("probe", read_image(probe)), *(("reference", read_image(reference)) for reference in references))
    return ApiCall(
        "POST", "/v1/verify/many", VerifyManyResponse, images=images, fields=fields, n_results=len(references)
    )


def explain(
    probe: ImageInput, reference: ImageInput, *, saliency: bool, **options: Unpack[VerifyKeywords]
) -> ApiCall[ExplainResponse]:
    """Build the call that compares two images and explains the result."""
    fields = fields_of(checked(ExplainOptions, {**options, "saliency": saliency}))
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/explain", ExplainResponse, images=images, fields=fields, max_answer_bytes=EXPLAIN_BYTES)


def detect(image: ImageInput) -> ApiCall[FacesResponse]:
    """Build the call that finds all faces in an image."""
    images = (("image", read_image(image)),)
    return ApiCall("POST", "/v1/faces", FacesResponse, images=images, max_answer_bytes=MANY_FACES_BYTES)


def embed(image: ImageInput, *, face: str | int) -> ApiCall[EmbeddingResponse]:
    """Build the call that embeds one face."""
    fields = fields_of(checked(FaceOption, {"face": face}))
    return ApiCall("POST", "/v1/embeddings", EmbeddingResponse, images=(("image", read_image(image)),), fields=fields)


def embed_all(images: Sequence[ImageInput]) -> ApiCall[EmbedAllResponse]:
    """Build the call that embeds every face of several images."""
    require_sequence(images, "images")
    if not 1 <= len(images) <= MAX_IMAGES:
        raise ValueError(f"embed 1 to {MAX_IMAGES} images at once, not {len(images)}; split them up")
    files = tuple(("image", read_image(image)) for image in images)
    fields = (("face", ALL_FACES),)
    return ApiCall(
        "POST", "/v1/embeddings", EmbedAllResponse, images=files, fields=fields, max_answer_bytes=MANY_FACES_BYTES
    )


def compare(
    probe: EmbeddingInput,
    references: Sequence[EmbeddingInput],
    *,
    model_digest: str | None,
    **options: Unpack[DecisionKeywords],
) -> ApiCall[CompareResponse]:
    """Build the call that compares embeddings."""
    request = comparison_of(probe, references, model_digest=model_digest, options=checked(DecisionOptions, options))
    n_results, content = len(references), request.model_dump_json().encode()
    max_bytes = COMPARE_BYTES + n_results * RESULT_BYTES
    return ApiCall(
        "POST",
        "/v1/embeddings/compare",
        CompareResponse,
        json=content,
        n_results=n_results,
        max_answer_bytes=max_bytes,
    )


def model() -> ApiCall[ModelResponse]:
    """Build the call for the model card."""
    return ApiCall("GET", "/v1/model", ModelResponse)


def ready() -> ApiCall[Health]:
    """Build the call that checks whether the service is ready."""
    return ApiCall("GET", "/readyz", Health)


def checked(kind: type[OptionsT], given: Mapping[str, object]) -> OptionsT:
    """Validate options as the service does, before a photo is sent.

    Raises TypeError for an unknown name, ValueError for an invalid value.
    """
    for name in given:
        if name not in kind.model_fields:
            raise TypeError(f"there is no option {name!r}; the options are: {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        places = [_shown(kind, name, given[name]) for name in given if name in fault["loc"]]
        raise ValueError(": ".join([*places, fault["msg"]])) from None


def _shown(kind: type[Message], name: str, value: object) -> str:
    """Name an option with its value, cut; without it, if it is about a person."""
    return f"{name}={printable(repr(value), LONGEST_SHOWN)}" if kind.model_fields[name].repr else name


def require_sequence(images: object, name: str) -> None:
    """Raise TypeError for what is not a sequence of images."""
    if isinstance(images, ONE_IMAGE) or not isinstance(images, Sequence):
        raise TypeError(f"{name} must be a sequence of images, such as a list, not {type(images).__name__}")


def fields_of(options: Message) -> tuple[tuple[str, str], ...]:
    """Return options as the fields of a form."""
    return tuple((name, _text(value)) for name, value in options if value is not None)


def _text(value: object) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).lower() if isinstance(value, bool) else str(value)
