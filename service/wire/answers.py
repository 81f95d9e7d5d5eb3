"""The answers of the API. A newer server may send keys that an older client does not know; they are ignored."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from .requests import QualityChoice, Vector


class Answer(BaseModel):
    """The base class of all answers. Frozen; unknown keys are ignored, since a newer server may send more."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


def _is_missing(part: object) -> bool:
    return part is None


class Box(Answer):
    """A rectangle in px of the upright image; it may extend beyond the image's edge."""

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
        int, Field(description="Clockwise rotation of the face in the image, in degrees: 0, 90, 180 or 270.")
    ]


class Quality(Answer):
    """Quality of the photo of a face. The last two are null if the model's card has no penalty for poor photos."""

    eye_distance_px: Annotated[float, Field(description="Distance of the eyes, in px of the image; 1 or more.")]
    sharpness: Annotated[
        float, Field(description="Strength of edges over contrast, 0 or more; about 0.7 is typical, 0.2 is blurred.")
    ]
    blockiness: Annotated[
        float,
        Field(description="JPEG's steps every 8 px, in grey levels, 0 or more; below 1.5 is typical."),
    ]
    brightness: Annotated[float, Field(description="Mean grey level of the face, 0 to 255.")]
    contrast: Annotated[float, Field(description="Standard deviation of the face's grey levels, 0 to 127.5.")]
    clipped: Annotated[float, Field(description="Share of the face that is nearly black or nearly white, 0 to 1.")]
    turn: Annotated[
        float,
        Field(description="Yaw: offset of the nose from the face's middle, in eye distances; 0 = frontal."),
    ]
    detector_score: Annotated[float, Field(description="The detector's own confidence, 0 to 1.")]
    eyes_visible: Annotated[float, Field(description="Share of the region of the eyes that nothing covers, 0 to 1.")]
    mouth_visible: Annotated[float, Field(description="Share of the region of the mouth that nothing covers, 0 to 1.")]
    covered: Annotated[float, Field(description="Covered share of the part that is covered most, 0 to 1.")]
    covered_part: Annotated[
        Literal["eyes", "mouth", "both"] | None,
        Field(description="The part of the face that counts as covered: less than 65% of it is visible."),
    ]
    embedding_length: Annotated[
        float | None, Field(description="Always null. This key will be removed in the next release.", deprecated=True)
    ] = None
    penalty: Annotated[
        float | None,
        Field(description="Penalty for this photo, in units of distance. A pair has that of its better photo."),
    ]
    is_too_poor: Annotated[
        bool | None, Field(description="Whether it is poorer than nearly all measured photos; verify then refuses it.")
    ]


class Sample(Face):
    """The face that was compared, what selected it, and the quality of its photo."""

    choice: Annotated[str, Field(description="What selected the face: the value of the request's option.")]
    n_faces: Annotated[
        int | None,
        Field(description="Faces in the image; null if smaller ones, which could not change the choice, were skipped."),
    ]
    quality: Quality


class ModelIdentity(Answer):
    """The identity of a model: its name and the digests of its weights and card."""

    name: str
    digest: str
    card_digest: str


class Timings(Answer):
    """Milliseconds inside the service; `total` includes reading the request and waiting for a free worker."""

    decode: float
    detect: float
    embed: float
    total: float


class OperatingPoint(Answer):
    """A threshold with its name and its measured error rates; null = not measured. Intervals are 95% intervals."""

    name: str
    threshold: Annotated[
        float,
        Field(description="A distance; for pairs of poor photos their penalty is subtracted."),
    ]
    fmr: Annotated[float | None, Field(description="False match rate: share of impostor pairs that match.")]
    fnmr: Annotated[float | None, Field(description="False non-match rate: share of genuine pairs that do not match.")]
    fmr_interval: tuple[float, float] | None = None
    fnmr_interval: tuple[float, float] | None = None
    n_identities: int | None = None
    n_genuine: Annotated[int | None, Field(description="Comparisons behind the FNMR.")] = None
    n_impostor: Annotated[int | None, Field(description="Comparisons behind the FMR.")] = None
    population: Annotated[
        str | None,
        Field(
            description="Name of the population that set the threshold; fmr, n_identities and n_impostor are measured "
            "on it. Absent if there is only one population.",
            exclude_if=_is_missing,
        ),
    ] = None
    note: str


class Judgement(Answer):
    """The decision for the distance of one pair. The last two are null if the model is not calibrated."""

    same: Annotated[bool, Field(description="Exactly `distance < threshold`.")]
    distance: Annotated[float, Field(description="Euclidean distance of the embeddings; 0 = identical.")]
    threshold: Annotated[
        float,
        Field(
            description="The request's threshold, or the operating point's minus the pair's penalty for poor photos."
        ),
    ]
    threshold_reason: Annotated[
        str, Field(description="Where the threshold comes from, written for people: do not parse it.")
    ]
    normalized_distance: Annotated[
        float | None,
        Field(
            description="The distance plus the pair's penalty for poor photos; the point's threshold, error rates and "
            "log-likelihood ratio refer to it. Null if the card has no such penalty."
        ),
    ]
    probability: Annotated[
        float | None, Field(description="Probability that it is one person, given the distance and `prior`.")
    ]
    log_likelihood_ratio: Annotated[
        float | None,
        Field(description="Natural logarithm; positive = evidence for one person. Independent of `prior`."),
    ]


class Judged(Answer):
    """The operating point and the prior of a request."""

    operating_point: Annotated[
        OperatingPoint | None,
        Field(description="The card's point that sets every threshold; null if the request set a threshold."),
    ]
    prior: Annotated[float, Field(description="Prior probability that the photos show one person.")]


class Verdict(Judged, Judgement):
    """Whether two images show one person."""

    quality: Annotated[QualityChoice, Field(description="The request's option for photos that are too poor.")]
    probe: Sample
    reference: Sample
    notes: Annotated[
        list[str],
        Field(description="What a reader of this answer should know, in sentences for people; usually empty."),
    ] = []


class VerifyResponse(Verdict):
    """The answer of POST /v1/verify."""

    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class PhotoRefusal(Answer):
    """Why a photo was not enrolled."""

    photo: Annotated[int, Field(description="Its place in the request, from 0.")]
    code: str
    detail: str
    person: Annotated[str | None, Field(description="Whom it shows, if that is somebody who is enrolled.")] = None


class ProblemDetails(Answer):
    """RFC 9457 problem details, with a stable `code`."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    n_faces: Annotated[int | None, Field(description="The number of faces found in the image at fault.")] = None
    available: Annotated[list[str] | None, Field(description="The available operating points or layers.")] = None
    measure: Annotated[str | None, Field(description="The quality measure that is too low.")] = None
    value: Annotated[float | None, Field(description="The measured value.")] = None
    limit: Annotated[float | None, Field(description="The minimum.")] = None
    part: Annotated[str | None, Field(description="The part that is covered in both photos: eyes or mouth.")] = None
    refusals: Annotated[list[PhotoRefusal] | None, Field(description="Why photos were not enrolled.")] = None
    largest_n: Annotated[int | None, Field(description="The most templates for which the FPIR can be claimed.")] = None
    strictest_fpir: Annotated[
        float | None, Field(description="The strictest FPIR that can be claimed for that many templates.")
    ] = None


class Problem(ProblemDetails):
    """The problem of a request, or of one reference."""

    image: Annotated[str | None, Field(description="Which image is at fault: probe or reference.")] = None


class ManyResult(Answer):
    """The result of one reference of POST /v1/verify/many: a verdict or a problem."""

    verdict: Verdict | None = None
    problem: Problem | None = None


class VerifyManyResponse(Answer):
    """The answer of POST /v1/verify/many: one result per reference, in their order."""

    results: list[ManyResult]
    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class FacesResponse(Answer):
    """The answer of POST /v1/faces: all faces found, largest first; the list may be empty."""

    faces: list[Face]
    request_id: str


class EmbeddingResponse(Answer):
    """The answer of POST /v1/embeddings. It is biometric data: protect it like the photo."""

    embedding: Vector = Field(repr=False)
    sample: Sample
    model: ModelIdentity
    timings_ms: Timings
    request_id: str


class InImage(Answer):
    """What concerns one of a request's images."""

    image: Annotated[int, Field(description="The image's place in the request, from 0.")]


class EmbeddedFace(Face, InImage):
    """One of the faces of a request's images, with its embedding."""

    quality: Quality
    embedding: Vector = Field(repr=False)


class ImageProblem(ProblemDetails, InImage):
    """The problem of one of a request's images."""


class EmbedAllResponse(Answer):
    """The answer of POST /v1/embeddings with `face=all` or several images. Protect it like the photos."""

    faces: Annotated[list[EmbeddedFace], Field(description="In the order of the images, largest first in each.")]
    problems: Annotated[list[ImageProblem], Field(description="The images that could not be used.")]
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


class ReloadResponse(Answer):
    """The answer of POST /v1/admin/reload; a model that was refused leaves the one before."""

    reloaded: bool
    reason: str | None  # why the model was refused
    model: ModelIdentity  # served now
    request_id: str


class CalibrationData(Answer):
    """The photos that the error rates were measured on."""

    name: str
    population: str  # a description of the people and of how the photos were taken
    n_identities: int
    n_images: int


class LogLikelihoodRatio(Answer):
    """The log-likelihood ratio as a function of distance: a falling straight line, constant beyond its two ends."""

    intercept: float
    slope: float  # per unit of distance
    nearest: float  # smaller distances have the ratio of this one
    farthest: float  # larger distances have the ratio of this one


class Calibration(Answer):
    """The measurements behind the operating points and the probability."""

    data: CalibrationData  # the photos that FNMR and the log-likelihood ratio are measured on
    populations: tuple[CalibrationData, ...] = ()  # further populations, on which each point also keeps its FMR
    log_likelihood_ratio: LogLikelihoodRatio


class QualityPenalty(Answer):
    """The penalty as a function of one quality measure: linear between the values, constant beyond them."""

    measure: str  # as in a sample's quality; a lower value means a poorer photo
    values: list[float]
    penalties: list[float]  # one for each value, in units of distance
    min_value: float  # verify refuses a face with a lower value
    usual: float  # median of undegraded photos


class Provenance(Answer):
    """Licence, source and training data of the weights."""

    license: str
    source: str
    trained_on: str


class ModelResponse(Answer):
    """The answer of GET /v1/model as the client reads it. The service's answer adds the rest of the card."""

    name: str
    digest: str  # of everything that determines an embedding, including the precision
    card_digest: str  # of the whole card
    precision: str = "f32"  # of embeddings: f32, bf16 or int8
    summary: str
    limits: Annotated[list[str], Field(description="What the model does not do.")]
    metric: str
    operating_points: list[OperatingPoint]  # thresholds are distances
    default_point: str | None  # None if the card has no point: requests need a threshold
    calibration: Calibration | None = None  # None: no probability
    quality_penalties: tuple[QualityPenalty, ...] = ()  # empty: no penalty for poor photos
    provenance: Provenance
