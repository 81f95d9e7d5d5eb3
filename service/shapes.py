"""What each route takes: which images under which names, and which options. The same for multipart and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias, TypedDict

from pydantic import Field

from .wire import (
    FIRST_LAYER,
    MAX_REFERENCES,
    EmbeddingRequest,
    ExplainRequest,
    FaceChoice,
    FacesRequest,
    LayerName,
    MapsRequest,
    QualityChoice,
    Standard,
    VerifyManyRequest,
    VerifyRequest,
)

ImageRequest: TypeAlias = (
    VerifyRequest | ExplainRequest | VerifyManyRequest | FacesRequest | EmbeddingRequest | MapsRequest
)


class RequestOptions(Standard):
    """What may be asked for beside the images."""

    face: Annotated[FaceChoice, Field(description="Which face is meant where an image shows several.")] = "dominant"
    quality: Annotated[
        QualityChoice, Field(description="Whether a photo that is too poor is refused, or compared all the same.")
    ] = "refuse"
    saliency: Annotated[bool, Field(description="Whether the places of both faces that matter are found too.")] = True
    layer: Annotated[LayerName, Field(description="Whose maps are asked for, by its name in GET /v1/layers.")] = (
        FIRST_LAYER
    )


class Question(TypedDict):
    """How two faces are to be compared, as the embedder's methods take it."""

    face: FaceChoice
    threshold: float | None
    operating_point: str | None
    prior: float
    quality: QualityChoice


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """The parts of a request; every image named must be there at least once."""

    images: Mapping[str, int]  # name -> how many of it at most
    options: tuple[str, ...]  # fields of Options
    json_form: type[ImageRequest]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that may be sent."""
        return (*self.images, *self.options)

    @property
    def n_images(self) -> int:
        """How many images it has at most."""
        return sum(self.images.values())


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as it was meant: images as files' bytes, options checked. Its repr shows no image."""

    images: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    options: RequestOptions

    @property
    def question(self) -> Question:
        """What was asked about two faces."""
        options = self.options
        return Question(
            face=options.face,
            threshold=options.threshold,
            operating_point=options.operating_point,
            prior=options.prior,
            quality=options.quality,
        )

    def one(self, name: str) -> bytes:
        """Return the image of a name that has exactly one."""
        (image,) = self.images[name]
        return image


VERIFY_OPTIONS = ("face", "threshold", "operating_point", "prior", "quality")
VERIFY = RequestSpec({"probe": 1, "reference": 1}, VERIFY_OPTIONS, VerifyRequest)
EXPLAIN = RequestSpec({"probe": 1, "reference": 1}, (*VERIFY_OPTIONS, "saliency"), ExplainRequest)
VERIFY_MANY = RequestSpec({"probe": 1, "reference": MAX_REFERENCES}, VERIFY_OPTIONS, VerifyManyRequest)
FACES = RequestSpec({"image": 1}, (), FacesRequest)
MAPS = RequestSpec({"image": 1}, ("face", "layer"), MapsRequest)
EMBEDDING = RequestSpec({"image": 1}, ("face",), EmbeddingRequest)
