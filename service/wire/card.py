"""The part of a model card that a caller needs to read an answer. The embedder owns the card and its rules."""

from typing import Annotated

from pydantic import Field

from .answers import Answer, OperatingPoint


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
