"""What the client can ask, as values: one function per question, each makes a `ApiCall`. Nothing is sent here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from ..wire import (
    MAX_REFERENCES,
    Answer,
    CompareResponse,
    DecisionOptions,
    EmbeddingResponse,
    ExplainResponse,
    FaceChoice,
    FacesResponse,
    Health,
    QualityChoice,
    VerifyManyResponse,
    VerifyResponse,
)
from .card import ModelResponse
from .choices import checked_face, checked_quality
from .inputs import EmbeddingInput, ImageInput, comparison_of, read_image

ONE_IMAGE = (str, bytes, bytearray, memoryview)  # sequences too, but of no images

AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[AnswerT]):
    """One question to the service, and the shape of its answer. Its repr shows no image and no embedding."""

    method: Literal["GET", "POST"]
    path: str
    answer: type[AnswerT]
    images: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)  # (part name, image file)
    fields: tuple[tuple[str, str], ...] = ()  # form fields beside the images
    json: bytes | None = field(default=None, repr=False)


def verify(
    probe: ImageInput, reference: ImageInput, *, face: FaceChoice, standard: DecisionOptions, quality: QualityChoice
) -> ApiCall[VerifyResponse]:
    """Ask whether two images show one person."""
    fields = _verify_fields(face, standard, quality)
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/verify", VerifyResponse, images=images, fields=fields)


def verify_many(
    probe: ImageInput,
    references: Sequence[ImageInput],
    *,
    face: FaceChoice,
    standard: DecisionOptions,
    quality: QualityChoice,
) -> ApiCall[VerifyManyResponse]:
    """Ask of each reference whether it shows the probe's person."""
    if isinstance(references, ONE_IMAGE) or not isinstance(references, Sequence):
        raise TypeError(f"references is a sequence of images, such as a list, not {type(references).__name__}")
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise ValueError(f"verify with 1 to {MAX_REFERENCES} references, not {len(references)}; split them up")
    fields = _verify_fields(face, standard, quality)
    images = (("probe", read_image(probe)), *(("reference", read_image(reference)) for reference in references))
    return ApiCall("POST", "/v1/verify/many", VerifyManyResponse, images=images, fields=fields)


def explain(
    probe: ImageInput,
    reference: ImageInput,
    *,
    face: FaceChoice,
    standard: DecisionOptions,
    quality: QualityChoice,
    saliency: bool,
) -> ApiCall[ExplainResponse]:
    """Ask why two images show one person or not."""
    fields = (*_verify_fields(face, standard, quality), ("saliency", str(saliency).lower()))
    images = (("probe", read_image(probe)), ("reference", read_image(reference)))
    return ApiCall("POST", "/v1/explain", ExplainResponse, images=images, fields=fields)


def detect(image: ImageInput) -> ApiCall[FacesResponse]:
    """Ask for every face in an image."""
    return ApiCall("POST", "/v1/faces", FacesResponse, images=(("image", read_image(image)),))


def embed(image: ImageInput, *, face: FaceChoice) -> ApiCall[EmbeddingResponse]:
    """Ask for the embedding of one face."""
    fields = (("face", checked_face(face)),)
    return ApiCall("POST", "/v1/embeddings", EmbeddingResponse, images=(("image", read_image(image)),), fields=fields)


def compare(
    probe: EmbeddingInput,
    references: Sequence[EmbeddingInput],
    *,
    model_digest: str | None,
    standard: DecisionOptions,
) -> ApiCall[CompareResponse]:
    """Ask for the distances of embeddings."""
    request = comparison_of(probe, references, model_digest=model_digest, standard=standard)
    return ApiCall("POST", "/v1/embeddings/compare", CompareResponse, json=request.model_dump_json().encode())


def model() -> ApiCall[ModelResponse]:
    """Ask which model answers."""
    return ApiCall("GET", "/v1/model", ModelResponse)


def ready() -> ApiCall[Health]:
    """Ask whether the service can answer."""
    return ApiCall("GET", "/readyz", Health)


def _verify_fields(face: FaceChoice, standard: DecisionOptions, quality: QualityChoice) -> tuple[tuple[str, str], ...]:
    said = tuple((name, str(value)) for name, value in standard if value is not None)
    return (("face", checked_face(face)), *said, ("quality", checked_quality(quality)))
