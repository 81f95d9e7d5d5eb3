"""The requests of the API. An unknown key is an error, never ignored."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

FaceChoice = Literal["dominant", "only", "largest", "center"]
QualityChoice = Literal["refuse", "ignore"]
FIRST_LAYER = "conv1"
EVEN_PRIOR = 0.5  # a prior that favours neither answer
MAX_REFERENCES = 16
MAX_IMAGES = 16  # to embed
MAX_EMBEDDINGS = 1000
FACE_PATTERN = r"dominant|only|largest|center|at:-?\d{1,6}(\.\d{1,6})?,-?\d{1,6}(\.\d{1,6})?|0|[1-9]\d{0,5}"
LAST_INDEX = 999_999  # by the pattern
FACE_FORMS = (
    "dominant, only, largest, center, at:x,y (a point on the face, in px of the upright picture) or the index of the "
    "face in the list of detected faces, from 0"
)


ALL_FACES = "all"
ONLY_EMBEDDINGS = "all is for POST /v1/embeddings and identify, which return every face; here it must be {forms}"


def _face_selector(given: object) -> str:
    if isinstance(given, float) and given.is_integer():  # 1.0 is an integer in JSON
        given = int(given)
    if isinstance(given, bool) or not re.fullmatch(FACE_PATTERN, str(given), re.ASCII):
        message = ONLY_EMBEDDINGS if given == ALL_FACES else "must be {forms}"
        raise PydanticCustomError("face_selector", message, {"forms": FACE_FORMS})
    return str(given)


def _face_selector_or_all(given: object) -> str:
    try:
        return ALL_FACES if given == ALL_FACES else _face_selector(given)
    except PydanticCustomError:
        raise PydanticCustomError("face_selector", "must be all, {forms}", {"forms": FACE_FORMS}) from None


FaceSelector = Annotated[
    str,
    BeforeValidator(_face_selector),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^({FACE_PATTERN})$", "minimum": 0, "maximum": LAST_INDEX}
    ),
]
FaceSelectorOrAll = Annotated[
    str,
    BeforeValidator(_face_selector_or_all),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^(all|{FACE_PATTERN})$", "minimum": 0, "maximum": LAST_INDEX}
    ),
]
Base64Image = Annotated[str, Field(min_length=1, description="An image file, base64 (a data: URI is accepted too).")]


def _as_list(given: object) -> object:
    if not isinstance(given, str | list):
        raise PydanticCustomError("images", "must be a string, or a list of strings")
    return [given] if isinstance(given, str) else given


Base64Images = Annotated[
    list[Base64Image],
    BeforeValidator(_as_list, json_schema_input_type=Base64Image | list[Base64Image]),
    Field(min_length=1, max_length=MAX_IMAGES),
]
# The bound prevents overflow of distances; no network's channel is nearly that large.
Channel = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
SMALLEST_EMBEDDING, LARGEST_EMBEDDING = 64, 1024  # channels; the served model's card says how many
Vector = Annotated[
    list[Channel],
    FailFast(),
    Field(
        min_length=SMALLEST_EMBEDDING,
        max_length=LARGEST_EMBEDDING,
        description="As many numbers as `architecture.embedding_size` in the model's card says.",
    ),
]


def _not_a_bool(given: object) -> object:
    if isinstance(given, bool):  # pydantic would take true for 1.0
        raise PydanticCustomError("number", "must be a number, not true or false")
    return given


Threshold = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False), BeforeValidator(_not_a_bool)]
PointName = Annotated[str, Field(min_length=1, max_length=64)]
Prior = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), BeforeValidator(_not_a_bool)]

LayerName = Annotated[str, Field(min_length=1, max_length=64)]


class Message(BaseModel):
    """The base class of all requests. Frozen; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def whole_schema(cls) -> dict[str, Any]:
        """Return the JSON schema with each definition in its place, so that it can be a part of another document."""
        schema = cls.model_json_schema()
        whole: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}))
        return whole


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    match part:
        case list():
            return [_inlined(each, definitions) for each in part]
        case {"$ref": str(name)}:
            return _inlined(definitions[name.rpartition("/")[2]], definitions)
        case dict():
            return {key: _inlined(each, definitions) for key, each in part.items()}
        case _:
            return part


class FaceOption(Message):
    """What selects a face."""

    face: Annotated[
        FaceSelector,
        Field(description=f"Which face to use if an image shows several: {FACE_FORMS}."),
    ] = "dominant"


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

    probe_face: Annotated[
        FaceSelector | None, Field(description="As `face`, for the probe alone; by default the value of `face`.")
    ] = None
    reference_face: Annotated[
        FaceSelector | None, Field(description="As `face`, for the references; by default the value of `face`.")
    ] = None
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


class EmbeddingOptions(Message):
    """The options of POST /v1/embeddings."""

    face: Annotated[
        FaceSelectorOrAll,
        Field(description=f"Which face to use if an image shows several: {FACE_FORMS}; or `all` for every face."),
    ] = "dominant"


class DecisionKeywords(TypedDict, total=False):
    """`DecisionOptions` as keywords of the client's methods."""

    threshold: float | None
    operating_point: str | None
    prior: float


class VerifyKeywords(DecisionKeywords, total=False):
    """`VerifyOptions` as keywords of the client's methods."""

    face: str | int
    probe_face: str | int | None
    reference_face: str | int | None
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


class EmbeddingRequest(EmbeddingOptions):
    """The JSON form of POST /v1/embeddings."""

    image: Base64Images = Field(repr=False)


class MapsRequest(MapsOptions):
    """The JSON form of POST /v1/maps."""

    image: Base64Image = Field(repr=False)


class CompareRequest(DecisionOptions):
    """The body of POST /v1/embeddings/compare: one embedding and up to 1,000 others from the same model."""

    probe: Vector = Field(repr=False)
    references: Annotated[list[Vector], FailFast(), Field(min_length=1, max_length=MAX_EMBEDDINGS)] = Field(repr=False)
    model_digest: Annotated[str, Field(description="`model.digest` of the answer that contained the embeddings.")]
