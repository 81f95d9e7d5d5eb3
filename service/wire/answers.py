"""What is answered. A newer server may say more than an older client knows."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .requests import FaceChoice, QualityChoice, Vector


class Answer(BaseModel):
    """What the server says. Frozen; a newer server may say more than an older client knows."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


def _is_missing(part: object) -> bool:
    return part is None


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
    rotation: Annotated[
        int, Field(description="By how many degrees it lies turned clockwise in the picture: 0, 90, 180 or 270.")
    ]


class Quality(Answer):
    """How good the photo of a face is. The last two are null where the model's card has no penalty for poor photos."""

    eye_distance_px: Annotated[float, Field(description="Between the eyes, in px of the picture; 1 or more.")]
    sharpness: Annotated[
        float, Field(description="Strength of edges over contrast, 0 or more; about 0.7 is usual, 0.2 is blurred.")
    ]
    blockiness: Annotated[
        float,
        Field(description="Steps that JPEG leaves every 8 px, in grey levels, 0 or more; below 1.5 is usual."),
    ]
    brightness: Annotated[float, Field(description="Mean grey level of the face, 0 to 255.")]
    contrast: Annotated[float, Field(description="Standard deviation of the face's grey levels, 0 to 127.5.")]
    clipped: Annotated[float, Field(description="Share of the face that is nearly black or nearly white, 0 to 1.")]
    turn: Annotated[
        float,
        Field(description="How far the nose is off the face's middle, in distances between the eyes; 0 = frontal."),
    ]
    detector_score: Annotated[float, Field(description="The detector's own confidence, 0 to 1.")]
    embedding_length: Annotated[
        float | None, Field(description="Always null. This key will be removed in the next release.", deprecated=True)
    ] = None
    penalty: Annotated[
        float | None,
        Field(description="What this costs, in units of distance; 0 = nothing. A pair has that of its better photo."),
    ]
    is_too_poor: Annotated[
        bool | None, Field(description="Is it poorer than any that was measured? Then verify refuses it.")
    ]


class Sample(Face):
    """The face that was compared, how it was chosen among those found, and how good its photo is."""

    choice: FaceChoice
    n_faces: Annotated[
        int | None,
        Field(description="Faces in the picture; null where no smaller one could change the choice: not looked for."),
    ]
    quality: Quality


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
    threshold: Annotated[
        float,
        Field(description="A distance; for pairs of poor photos their penalty is taken off."),
    ]
    fmr: Annotated[float | None, Field(description="Share of pairs of two people that pass as one.")]
    fnmr: Annotated[float | None, Field(description="Share of pairs of one person that are taken for two.")]
    fmr_interval: tuple[float, float] | None = None
    fnmr_interval: tuple[float, float] | None = None
    n_identities: int | None = None
    n_genuine: Annotated[int | None, Field(description="Comparisons behind the FNMR.")] = None
    n_impostor: Annotated[int | None, Field(description="Comparisons behind the FMR.")] = None
    population: Annotated[
        str | None,
        Field(
            description="Name of the photos that set the threshold, whose are fmr, n_identities and n_impostor. Left "
            "out where all was measured on the same photos.",
            exclude_if=_is_missing,
        ),
    ] = None
    note: str


class Judgement(Answer):
    """What the distance of one pair says. The last two are null where the model was not calibrated."""

    same: Annotated[bool, Field(description="Exactly `distance < threshold`.")]
    distance: Annotated[float, Field(description="Euclidean distance of the embeddings; 0 = identical.")]
    threshold: Annotated[
        float,
        Field(
            description="The one that the request gave, or that of the operating point less the pair's penalty for "
            "poor photos."
        ),
    ]
    threshold_reason: Annotated[
        str, Field(description="Why the threshold is what it is, in words for people: do not parse it.")
    ]
    normalized_distance: Annotated[
        float | None,
        Field(
            description="The distance plus the pair's penalty for poor photos; the point's threshold, error rates and "
            "evidence are of it. Null where the card has no such penalty."
        ),
    ]
    probability: Annotated[float | None, Field(description="Of one person, given the distance and `prior`.")]
    log_likelihood_ratio: Annotated[
        float | None, Field(description="Natural logarithm; positive speaks for one person. Rests on no prior.")
    ]


class Judged(Answer):
    """The standard that a request was judged by."""

    operating_point: Annotated[
        OperatingPoint | None,
        Field(description="The card's point that gave every threshold; null when the request gave its own."),
    ]
    prior: Annotated[float, Field(description="Probability of one person before the photos are seen.")]


class Verdict(Judged, Judgement):
    """Whether two images show one person."""

    quality: Annotated[QualityChoice, Field(description="What was to be done about a photo that is too poor.")]
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
    available: Annotated[
        list[str] | None, Field(description="The operating points, or the layers, that there are.")
    ] = None
    measure: Annotated[str | None, Field(description="Which measure of quality makes its photo too poor.")] = None
    value: Annotated[float | None, Field(description="What was measured.")] = None
    limit: Annotated[float | None, Field(description="What it takes at least.")] = None


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


class CalibrationData(Answer):
    """The photos that the error rates were measured on."""

    name: str
    population: str  # whom they show and how they were taken, in words
    n_identities: int
    n_images: int


class LogLikelihoodRatio(Answer):
    """How a distance becomes a log-likelihood ratio: a falling straight line, held level beyond the two ends."""

    intercept: float
    slope: float  # per unit of distance
    nearest: float  # smaller distances say no more than this one
    farthest: float  # larger ones neither


class Calibration(Answer):
    """What the operating points and the probability rest on."""

    data: CalibrationData  # FNMR and evidence are of these photos
    populations: tuple[CalibrationData, ...] = ()  # further ones: each point keeps its FMR on them too
    log_likelihood_ratio: LogLikelihoodRatio


class QualityPenalty(Answer):
    """What one measure of a photo's quality costs: straight lines between the values, level beyond them."""

    measure: str  # as in a sample's quality; a lower value means a poorer photo
    values: list[float]
    penalties: list[float]  # one for each value, in units of distance
    min_value: float  # verify refuses a face with a lower value
    usual: float  # median of undegraded photos


class Provenance(Answer):
    """On what terms the weights may be used, and what they were trained on."""

    license: str
    source: str
    trained_on: str


class ModelResponse(Answer):
    """The answer of GET /v1/model as the client reads it. The service's answer extends it by the rest of the card."""

    name: str
    digest: str  # of all that decides an embedding, the precision included
    card_digest: str  # of the whole card
    precision: str = "f32"  # of embeddings: f32, bf16 or int8
    summary: str
    limits: Annotated[list[str], Field(description="What the model does not do.")]
    metric: str
    operating_points: list[OperatingPoint]  # thresholds are distances
    default_point: str | None  # None where there is no point: give a threshold
    calibration: Calibration | None = None  # None: thresholds without a probability
    quality_penalties: tuple[QualityPenalty, ...] = ()  # what poor photos cost; empty: nothing
    provenance: Provenance
