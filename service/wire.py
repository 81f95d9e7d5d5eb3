"""What travels over HTTP, as pydantic models: the one vocabulary of server and client.

Knows no torch, no FastAPI and no embedder, so that a client can import it alone.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

FaceChoice = Literal["dominant", "only", "largest", "center"]
ImageRole = Literal["probe", "reference"]
Base64Image = Annotated[str, Field(min_length=1, description="An image file, base64 (a data: URI is accepted too).")]
# No network's channel comes near the bound; it keeps a distance from overflowing.
Channel = Annotated[float, Field(ge=-1e4, le=1e4, allow_inf_nan=False)]
Vector = Annotated[list[Channel], FailFast(), Field(min_length=128, max_length=128)]
Threshold = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]

MAX_REFERENCES = 16
MAX_EMBEDDINGS = 1000


class Message(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Answer(BaseModel):
    """What the server says. Frozen; a newer server may say more than an older client knows."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


# --- requests -------------------------------------------------------------------------------------------------------


class VerifyRequest(Message):
    """The JSON form of POST /v1/verify."""

    probe: Base64Image = Field(repr=False)
    reference: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"
    threshold: Threshold | None = None


class VerifyManyRequest(Message):
    """The JSON form of POST /v1/verify/many."""

    probe: Base64Image = Field(repr=False)
    reference: Annotated[list[Base64Image], Field(min_length=1, max_length=MAX_REFERENCES)] = Field(repr=False)
    face: FaceChoice = "dominant"
    threshold: Threshold | None = None


class FacesRequest(Message):
    """The JSON form of POST /v1/faces."""

    image: Base64Image = Field(repr=False)


class EmbeddingRequest(Message):
    """The JSON form of POST /v1/embeddings."""

    image: Base64Image = Field(repr=False)
    face: FaceChoice = "dominant"


class CompareRequest(Message):
    """POST /v1/embeddings/compare: one embedding against up to 1,000 made by the same model."""

    probe: Vector = Field(repr=False)
    references: Annotated[list[Vector], FailFast(), Field(min_length=1, max_length=MAX_EMBEDDINGS)] = Field(repr=False)
    model_digest: Annotated[str, Field(description="`model.digest` of the answer that the embeddings came in.")]
    threshold: Threshold | None = None


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


class Verdict(Answer):
    """Whether two images show one person."""

    same: Annotated[bool, Field(description="Exactly `distance < threshold`.")]
    distance: Annotated[float, Field(description="Euclidean distance of the embeddings; 0 = identical.")]
    threshold: float
    operating_point: Annotated[
        str | None, Field(description="The card's point that gave the threshold; null when the request gave its own.")
    ]
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


class DistanceResult(Answer):
    """One reference of POST /v1/embeddings/compare."""

    same: bool
    distance: float


class CompareResponse(Answer):
    """The answer of POST /v1/embeddings/compare: one result per reference, in their order."""

    results: list[DistanceResult]
    threshold: float
    operating_point: str | None
    model: ModelIdentity
    request_id: str


class Health(Answer):
    """The answer of GET /healthz and GET /readyz."""

    status: Literal["ok", "ready"]
