"""What the client can ask, as values: one function per question, each makes an `ApiCall`. Nothing is sent here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, Unpack

from pydantic import ValidationError

from ..wire import (
    MAX_REFERENCES,
    Answer,
    CompareResponse,
    DecisionKeywords,
    DecisionOptions,
    EmbeddingResponse,
    ExplainResponse,
    FaceChoice,
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
from .inputs import EmbeddingInput, ImageInput, comparison_of, read_image

ONE_IMAGE = (str, bytes, bytearray, memoryview)  # sequences too, but of no images

AnswerT = TypeVar("AnswerT", bound=Answer)
OptionsT = TypeVar("OptionsT", bound=Message)


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[AnswerT]):
    """One question to the service, and the shape of its answer. Its repr shows no image and no embedding."""

    method: Literal["GET", "POST"]
    path: str
    answer: type[AnswerT]
    images: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)  # (part name, image file)
    fields: tuple[tuple[str, str], ...] = ()  # form fields beside the images
    json: bytes | None = field(default=None, repr=False)


def verify(probe: ImageInput, reference: ImageInput, **options: Unpack[VerifyKeywords]) -> ApiCall[VerifyResponse]:
    """Ask whether two images show one person."""
    fields = _fields(checked(VerifyOptions, options))
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/verify", VerifyResponse, images=images, fields=fields)


def verify_many(
    probe: ImageInput, references: Sequence[ImageInput], **options: Unpack[VerifyKeywords]
) -> ApiCall[VerifyManyResponse]:
    """Ask of each reference whether it shows the probe's person."""
    fields = _fields(checked(VerifyOptions, options))
    if isinstance(references, ONE_IMAGE) or not isinstance(references, Sequence):
        raise TypeError(f"references is a sequence of images, such as a list, not {type(references).__name__}")
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise ValueError(f"verify with 1 to {MAX_REFERENCES} references, not {len(references)}; split them up")
    images = (("probe", read_image(probe)), *(("reference", read_image(reference)) for reference in references))
    return ApiCall("POST", "/v1/verify/many", VerifyManyResponse, images=images, fields=fields)


def explain(
    probe: ImageInput, reference: ImageInput, *, saliency: bool, **options: Unpack[VerifyKeywords]
) -> ApiCall[ExplainResponse]:
    """Ask why two images show one person or not."""
    fields = (*_fields(checked(VerifyOptions, options)), ("saliency", str(saliency).lower()))
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/explain", ExplainResponse, images=images, fields=fields)


def detect(image: ImageInput) -> ApiCall[FacesResponse]:
    """Ask for every face in an image."""
    return ApiCall("POST", "/v1/faces", FacesResponse, images=(("image", read_image(image)),))


def embed(image: ImageInput, *, face: FaceChoice) -> ApiCall[EmbeddingResponse]:
    """Ask for the embedding of one face."""
    fields = _fields(checked(FaceOption, {"face": face}))
    return ApiCall("POST", "/v1/embeddings", EmbeddingResponse, images=(("image", read_image(image)),), fields=fields)


def compare(
    probe: EmbeddingInput,
    references: Sequence[EmbeddingInput],
    *,
    model_digest: str | None,
    **options: Unpack[DecisionKeywords],
) -> ApiCall[CompareResponse]:
    """Ask for the distances of embeddings."""
    request = comparison_of(probe, references, model_digest=model_digest, options=checked(DecisionOptions, options))
    return ApiCall("POST", "/v1/embeddings/compare", CompareResponse, json=request.model_dump_json().encode())


def model() -> ApiCall[ModelResponse]:
    """Ask which model answers."""
    return ApiCall("GET", "/v1/model", ModelResponse)


def ready() -> ApiCall[Health]:
    """Ask whether the service can answer."""
    return ApiCall("GET", "/readyz", Health)


def checked(kind: type[OptionsT], given: Mapping[str, object]) -> OptionsT:
    """Return the options if the service would take them; refused here, before a photo travels.

    Raises TypeError for a name that is no option, ValueError for a value that is none.
    """
    for name in given:
        if name not in kind.model_fields:
            raise TypeError(f"there is no option {name!r}; the options are: {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        places = [f"{name}={given[name]!r}" for name in given if name in fault["loc"]]
        raise ValueError(": ".join([*places, fault["msg"]])) from None


def _fields(options: Message) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in options if value is not None)
