"""The model card as a caller reads it: what is needed to understand an answer. The embedder owns the whole card."""

from typing import Annotated

from pydantic import Field

from ..wire import Answer, OperatingPoint


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


class PenaltyCurve(Answer):
    """What one measure of a photo's quality costs: straight lines between the values, level beyond them."""

    measure: str  # as in a sample's quality
    worse: str  # which end is the poor one: low or high
    values: list[float]
    penalties: list[float]  # one for each value, in units of the normalised distance
    usual: float  # median of undegraded photos


class QualityRule(Answer):
    """What a poor photo costs, and from where on it is refused."""

    curves: list[PenaltyCurve]
    floor: float  # a face whose penalty is greater is refused


class OwnThreshold(Answer):
    """What gives every pair a threshold of its own."""

    operating_points: list[OperatingPoint]  # those that decide; their thresholds are normalised distances
    log_likelihood_ratio: LogLikelihoodRatio  # likewise of normalised distances
    usual_mean: float  # of a usual face's distances to its nearest strangers
    usual_spread: float  # their standard deviation
    quality: QualityRule


class Provenance(Answer):
    """On what terms the weights may be used, and what they were trained on."""

    license: str
    source: str
    trained_on: str


class ModelResponse(Answer):
    """The answer of GET /v1/model, as far as a caller needs it; the rest of the card is left out."""

    name: str
    digest: str  # of all that decides an embedding, the precision included
    card_digest: str  # of the whole card
    precision: str = "f32"  # of embeddings: f32, bf16 or int8
    summary: str
    limits: Annotated[list[str], Field(description="What the model does not do.")]
    metric: str
    operating_points: list[OperatingPoint]  # thresholds are distances; they decide where there is no own_threshold
    default_point: str | None  # None where there is no point: give a threshold
    calibration: Calibration | None = None  # None: thresholds without a probability
    own_threshold: OwnThreshold | None = None  # None: one threshold for all pairs
    provenance: Provenance
