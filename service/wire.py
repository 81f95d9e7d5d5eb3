"""What travels over HTTP, as pydantic models: the one vocabulary of server and client.

Knows no torch, no FastAPI and no embedder, so that a client can import it alone.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

FaceChoice = Literal["dominant", "only", "largest", "center"]
ImageRole = Literal["probe", "reference"]
Base64Image = Annotated[str, Field(min_length=1, description="An image file, base64 (a data: URI is accepted too).")]
# No network's channel comes near the bound; it keeps a distance from overflowing.
Channel = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Vector = Annotated[list[Channel], FailFast(), Field(min_length=128, max_length=128)]
Threshold = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
PointName = Annotated[str, Field(min_length=1, max_length=64)]
Prior = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]

EVEN = 0.5  # a prior that favours neither answer
MAX_REFERENCES = 16
MAX_EMBEDDINGS = 1000


class Message(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """What the server says. Frozen; a newer server may say more than an older client knows."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


# --- requests -------------------------------------------------------------------------------------------------------


class Standard(Message):
    """By what a distance is judged."""

    threshold: Annotated[
        Threshold | None, Field(description="Same person below this distance; by default the card's default point.")
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


class VerifyManyRequest(Standard):
    """The JSON form of POST /v1/verify/many."""

    probe: Base64Image = Field(repr=False)
    reference: Annotated[list[Base64Image], Field(min_length=1, max_length=MAX_REFERENCES)] = Field(repr=False)
    face: FaceChoice = "dominant"


class FacesRequest(Message):
    """The JSON form of POST /v1/faces."""

    image: Base64Image = Field(repr=False)


class EmbeddingRequest(Message):
    """The JSON form of POST /v1/embeddings."""

    image: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"


class CompareRequest(Standard):
    """POST /v1/embeddings/compare: one embedding against up to 1,000 made by the same model."""

    probe: Vector = Field(repr=False)
    references: Annotated[list[Vector], FailFast(), Field(min_length=1, max_length=MAX_EMBEDDINGS)] = Field(repr=False)
    model_digest: Annotated[str, Field(description="`model.digest` of the answer that the embeddings came in.")]


# --- answers --------------------------------------------------------------------------------------------------------


class Box(Answer):
    """A rectangle in px of the upright picture; it may reach beyond its edge."""

    x: float
    y: float
    width: float
    height: float


class Face(Answer):
    """One detected face."""

    box: Box
    landmarks: Annotated[
        list[tuple[float, float]],
        Field(description="x, y in px: image-left eye, image-right eye, nose tip, left and right mouth corner."),
    ]
    score: Annotated[float, Field(description="The detector's own confidence, 0 to 1.")]


class Sample(Face):
    """The face that was compared, and how it was chosen among those found."""

    choice: FaceChoice
    n_faces: int


class ModelIdentity(Answer):
    """Which weights answered, under which card."""

    name: str
    digest: str
    card_digest: str


class Timings(Answer):
    """Milliseconds inside the service; `total` includes reading the request and waiting for a free place."""

    decode: float
    detect: float
    embed: float
    total: float


class OperatingPoint(Answer):
    """A threshold with its name and its measured error rates; null = not measured. Intervals are of 95%."""

    name: str
    threshold: float
    fmr: Annotated[float | None, Field(description="Share of pairs of two people that pass as one.")]
    fnmr: Annotated[float | None, Field(description="Share of pairs of one person that are taken for two.")]
    fmr_interval: tuple[float, float] | None = None
    fnmr_interval: tuple[float, float] | None = None
    n_identities: int | None = None
    n_genuine: Annotated[int | None, Field(description="Comparisons behind the FNMR.")] = None
    n_impostor: Annotated[int | None, Field(description="Comparisons behind the FMR.")] = None
    note: str


class Judgement(Answer):
    """What the distance of one pair says. The last two are null where the model was not calibrated."""

    same: Annotated[bool, Field(description="Exactly `distance < threshold`.")]
    distance: Annotated[float, Field(description="Euclidean distance of the embeddings; 0 = identical.")]
    probability: Annotated[float | None, Field(description="Of one person, given the distance and `prior`.")]
    log_likelihood_ratio: Annotated[
        float | None, Field(description="Natural logarithm; positive speaks for one person. Rests on no prior.")
    ]


class Judged(Answer):
    """The standard that a request was judged by."""

    threshold: float
    operating_point: Annotated[
        OperatingPoint | None,
        Field(description="The card's point that gave the threshold; null when the request gave its own."),
    ]
    prior: Annotated[float, Field(description="Probability of one person before the photos are seen.")]


class Verdict(Judged, Judgement):
    """Whether two images show one person."""

    probe: Sample
    reference: Sample


class VerifyResponse(Verdict):
    """The answer of POST /v1/verify."""

    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class Problem(Answer):
    """RFC 9457 problem details, with a stable `code`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    image: Annotated[str | None, Field(description="Which image is at fault: probe or reference.")] = None
    n_faces: Annotated[int | None, Field(description="How many faces were found in it.")] = None
    available: Annotated[list[str] | None, Field(description="The operating points that there are, by name.")] = None


class ManyResult(Answer):
    """One reference of POST /v1/verify/many: a verdict, or the problem that kept it from one."""

    verdict: Verdict | None = None
    problem: Problem | None = None


class VerifyManyResponse(Answer):
    """The answer of POST /v1/verify/many: one result per reference, in their order."""

    results: list[ManyResult]
    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class FacesResponse(Answer):
    """The answer of POST /v1/faces: every face found, largest first; none is an empty list."""

    faces: list[Face]
    request_id: str


class EmbeddingResponse(Answer):
    """The answer of POST /v1/embeddings. Biometric data: store and send it with the care due to the photo."""

    embedding: Vector = Field(repr=False)
    sample: Sample
    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class CompareResponse(Judged):
    """The answer of POST /v1/embeddings/compare: one result per reference, in their order."""

    results: list[Judgement]
    model: ModelIdentity
    request_id: str


class Health(Answer):
    """The answer of GET /healthz and GET /readyz."""

    status: Literal["ok", "ready"]
