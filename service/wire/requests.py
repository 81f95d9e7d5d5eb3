"""What may be asked. An unknown key is an error, never ignored."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

FaceChoice = Literal["dominant", "only", "largest", "center"]
QualityChoice = Literal["refuse", "ignore"]
Base64Image = Annotated[str, Field(min_length=1, description="An image file, base64 (a data: URI is accepted too).")]
# No network's channel comes near the bound; it keeps a distance from overflowing.
Channel = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Vector = Annotated[list[Channel], FailFast(), Field(min_length=128, max_length=128)]
Threshold = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
PointName = Annotated[str, Field(min_length=1, max_length=64)]
Prior = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]

LayerName = Annotated[str, Field(min_length=1, max_length=64)]

FIRST_LAYER = "conv1"
EVEN = 0.5  # a prior that favours neither answer
MAX_REFERENCES = 16
MAX_EMBEDDINGS = 1000


class Message(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Standard(Message):
    """By what a distance is judged."""

    threshold: Annotated[
        Threshold | None,
        Field(description="Same person below this distance, for every pair; by default the card's point decides."),
    ] = None
    operating_point: Annotated[
        PointName | None,
        Field(description="A point of the card by its name, or `fmr=X`: the nearest whose FMR is at most X."),
    ] = None
    prior: Annotated[Prior, Field(description="Probability of one person before the photos are seen.")] = EVEN

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and self.operating_point is not None:
            raise PydanticCustomError("two_thresholds", "send threshold or operating_point, not both")
        return self


class VerifyRequest(Standard):
    """The JSON form of POST /v1/verify."""

    probe: Base64Image = Field(repr=False)
    reference: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"
    quality: QualityChoice = "refuse"


class ExplainRequest(VerifyRequest):
    """The JSON form of POST /v1/explain."""

    saliency: bool = True


class VerifyManyRequest(Standard):
    """The JSON form of POST /v1/verify/many."""

    probe: Base64Image = Field(repr=False)
    reference: Annotated[list[Base64Image], Field(min_length=1, max_length=MAX_REFERENCES)] = Field(repr=False)
    face: FaceChoice = "dominant"
    quality: QualityChoice = "refuse"


class FacesRequest(Message):
    """The JSON form of POST /v1/faces."""

    image: Base64Image = Field(repr=False)


class EmbeddingRequest(Message):
    """The JSON form of POST /v1/embeddings."""

    image: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"


class MapsRequest(Message):
    """The JSON form of POST /v1/maps."""

    image: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"
    layer: LayerName = FIRST_LAYER


class CompareRequest(Standard):
    """POST /v1/embeddings/compare: one embedding against up to 1,000 made by the same model."""

    probe: Vector = Field(repr=False)
    references: Annotated[list[Vector], FailFast(), Field(min_length=1, max_length=MAX_EMBEDDINGS)] = Field(repr=False)
    model_digest: Annotated[str, Field(description="`model.digest` of the answer that the embeddings came in.")]
