"""The requests of the API. An unknown key is an error, never ignored."""

from typing import Annotated, Literal, Self, TypedDict

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

FaceChoice = Literal["dominant", "only", "largest", "center"]
QualityChoice = Literal["refuse", "ignore"]
Base64Image = Annotated[str, Field(min_length=1, description="An image file, base64 (a data: URI is accepted too).")]
# The bound prevents overflow of distances; no network's channel is nearly that large.
Channel = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Vector = Annotated[list[Channel], FailFast(), Field(min_length=128, max_length=128)]
Threshold = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
PointName = Annotated[str, Field(min_length=1, max_length=64)]
Prior = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]

LayerName = Annotated[str, Field(min_length=1, max_length=64)]

FIRST_LAYER = "conv1"
EVEN_PRIOR = 0.5  # a prior that favours neither answer
MAX_REFERENCES = 16
MAX_EMBEDDINGS = 1000


class Message(BaseModel):
    """The base class of all requests. Frozen; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FaceOption(Message):
    """The rule that selects a face."""

    face: Annotated[FaceChoice, Field(description="Which face to use if an image shows several.")] = "dominant"


class DecisionOptions(Message):
    """The options that turn a distance into a decision."""

    threshold: Annotated[
        Threshold | None,
        Field(description="Same person below this distance, for every pair; by default the card's point decides."),
    ] = None
    operating_point: Annotated[
        PointName | None,
        Field(description="An operating point of the card by name, or `fmr=X`: the nearest with an FMR of at most X."),
    ] = None
    prior: Annotated[Prior, Field(description="Prior probability that the photos show one person.")] = EVEN_PRIOR

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and self.operating_point is not None:
            raise PydanticCustomError("two_thresholds", "send threshold or operating_point, not both")
        return self


class VerifyOptions(DecisionOptions, FaceOption):
    """The options of a comparison. Every route and client method that compares photos accepts all of them."""

    quality: Annotated[
        QualityChoice, Field(description="Whether to refuse a photo that is too poor, or to compare it anyway.")
    ] = "refuse"


class ExplainOptions(VerifyOptions):
    """The options of POST /v1/explain."""

    saliency: Annotated[bool, Field(description="Whether to compute the saliency maps of both faces.")] = True


class MapsOptions(FaceOption):
    """The options of POST /v1/maps."""

    layer: Annotated[LayerName, Field(description="The layer whose maps to return, by its name in GET /v1/layers.")] = (
        FIRST_LAYER
    )


class DecisionKeywords(TypedDict, total=False):
    """`DecisionOptions` as keywords of the client's methods."""

    threshold: float | None
    operating_point: str | None
    prior: float


class VerifyKeywords(DecisionKeywords, total=False):
    """`VerifyOptions` as keywords of the client's methods."""

    face: FaceChoice
    quality: QualityChoice


class VerifyRequest(VerifyOptions):
    """The JSON form of POST /v1/verify."""

    probe: Base64Image = Field(repr=False)
    reference: Base64Image = Field(repr=False)


class ExplainRequest(ExplainOptions, VerifyRequest):
    """The JSON form of POST /v1/explain."""


class VerifyManyRequest(VerifyOptions):
    """The JSON form of POST /v1/verify/many."""

    probe: Base64Image = Field(repr=False)
    reference: Annotated[list[Base64Image], Field(min_length=1, max_length=MAX_REFERENCES)] = Field(repr=False)


class FacesRequest(Message):
    """The JSON form of POST /v1/faces."""

    image: Base64Image = Field(repr=False)


class EmbeddingRequest(FaceOption):
    """The JSON form of POST /v1/embeddings."""

    image: Base64Image = Field(repr=False)


class MapsRequest(MapsOptions):
    """The JSON form of POST /v1/maps."""

    image: Base64Image = Field(repr=False)


class CompareRequest(DecisionOptions):
    """The body of POST /v1/embeddings/compare: one embedding and up to 1,000 others from the same model."""

    probe: Vector = Field(repr=False)
    references: Annotated[list[Vector], FailFast(), Field(min_length=1, max_length=MAX_EMBEDDINGS)] = Field(repr=False)
    model_digest: Annotated[str, Field(description="`model.digest` of the answer that contained the embeddings.")]
