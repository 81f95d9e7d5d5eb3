"""The model card: the only owner of every fact about a model's weights. Knows no files and no torch."""

import hashlib
import json
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..types import ModelIdentity

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[Rate, Rate]  # lower, upper end
Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]
LandmarkPoint = tuple[Finite, Finite]


class CardPart(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(CardPart):
    """A threshold with its name and its measured error rates; null = not measured. Intervals are of 95%."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]{0,63}$")]
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fmr: Rate | None
    fnmr: Rate | None
    fmr_interval: Interval | None = None
    fnmr_interval: Interval | None = None
    n_identities: Count | None = None
    n_genuine: Count | None = None  # comparisons behind fnmr
    n_impostor: Count | None = None  # comparisons behind fmr
    note: str


class LogLikelihoodRatio(CardPart):
    """How a distance speaks for one person against two: natural logarithm of the ratio of the two likelihoods.

    A straight line that falls with the distance, held level beyond the range in which the data had enough
    comparisons of both kinds.
    """

    intercept: Finite
    slope: Annotated[float, Field(lt=0, allow_inf_nan=False)]  # per unit of distance
    nearest: Finite  # smaller distances say no more than this one
    farthest: Finite  # larger ones neither

    @model_validator(mode="after")
    def _the_range_is_not_empty(self) -> Self:
        if not self.nearest < self.farthest:
            raise ValueError(f"nearest ({self.nearest}) must be below farthest ({self.farthest})")
        return self

    def at(self, distance: float) -> float:
        """Log-likelihood ratio of a distance: positive speaks for one person, negative for two."""
        return float(self.of_each(np.array(distance)))

    def of_each(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for many distances; an infinite one counts as the farthest."""
        return self.intercept + self.slope * np.clip(distances, self.nearest, self.farthest)


class CalibrationData(CardPart):
    """The photos that the error rates were measured on."""

    name: Annotated[str, Field(min_length=1)]
    digest: Digest  # of the identities and their images' bytes
    population: Annotated[str, Field(min_length=1)]  # whom they show and how they were taken, in words
    n_identities: Count
    n_images: Count
    n_without_face: Count  # images in which no usable face was found; they take no part


class Calibration(CardPart):
    """What the operating points and the probability rest on. It holds for the embeddings of one digest only."""

    model_digest: Digest
    data: CalibrationData
    face: Literal["dominant", "only", "largest", "center"]  # which face of an image was taken
    log_likelihood_ratio: LogLikelihoodRatio
    n_resamples: Count  # of identities, behind every interval
    seed: int


class Preprocessing(CardPart):
    """How a chip becomes the network's input: x = (pixel - mean) / scale, channel by channel."""

    input_size_px: Annotated[int, Field(gt=0, le=1024)]
    color_order: Literal["RGB"]
    mean: Triple  # in pixel values, 0..255
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Alignment(CardPart):
    """Where the five landmarks go in the chip; pixel centres at integers."""

    chip_size_px: Literal[150]
    points: tuple[LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint]
    landmark_offset_px: Finite  # added to the detector's landmarks, which count from the pixel's corner


class Architecture(CardPart):
    """The network: a backbone by name, then the head."""

    backbone: str
    embedding_size: Literal[128]
    unit_length: bool  # is the embedding scaled to length 1?
    mirror: bool  # is it the mean over a chip and its mirror image?


class Provenance(CardPart):
    """Whose weights these are, on what terms, and what they were trained on."""

    license: Annotated[str, Field(min_length=1)]
    source: str
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    trained_on: str
    stored_parameters: Annotated[int, Field(gt=0)]


class ModelCard(CardPart):
    """All that is known about a model beside its numbers."""

    format: Literal["visavis-bundle/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
    summary: str
    limits: tuple[str, ...]  # what the model does not do, in words
    architecture: Architecture
    preprocessing: Preprocessing
    alignment: Alignment
    metric: Literal["euclidean"]
    operating_points: tuple[OperatingPoint, ...]  # none: the model was not calibrated yet
    default_point: str | None  # null where there is none
    calibration: Calibration | None = None  # null: thresholds without a probability
    provenance: Provenance
    weights_sha256: Digest
    digest: Digest

    @model_validator(mode="after")
    def _points_are_named_once_and_the_default_is_one_of_them(self) -> Self:
        names: list[str | None] = [point.name for point in self.operating_points]
        if len(set(names)) < len(names):
            raise ValueError(f"operating points must have different names, not {names}")
        if self.default_point not in (names or [None]):
            raise ValueError(f"default_point {self.default_point!r} is none of {names}")
        return self

    @model_validator(mode="after")
    def _the_calibration_is_of_these_embeddings(self) -> Self:
        if self.calibration is not None and self.calibration.model_digest != self.digest:
            raise ValueError("the calibration was made for other weights or settings: run visavis calibrate")
        return self

    @model_validator(mode="after")
    def _the_digest_is_that_of_the_facts(self) -> Self:
        if self.digest != self.computed_digest():
            raise ValueError("the digest does not fit the facts it covers: the card was altered after it was made")
        return self

    def computed_digest(self) -> str:
        """Digest of all that decides an embedding: weights, architecture, preprocessing, alignment."""
        return embedding_digest(self.weights_sha256, self.architecture, self.preprocessing, self.alignment)

    @property
    def card_digest(self) -> str:
        """Digest of the whole card."""
        return _sha256_of(self.model_dump(mode="json"))

    @property
    def identity(self) -> ModelIdentity:
        """The name and digests that every answer carries."""
        return ModelIdentity(self.name, self.digest, self.card_digest)

    def calibrated(self, calibration: Calibration, points: tuple[OperatingPoint, ...], default_point: str) -> Self:
        """Return the card of the same model with points and evidence measured anew."""
        facts = {"calibration": calibration, "operating_points": points, "default_point": default_point}
        return self.model_validate(dict(self) | facts)

    def with_mirror(self, *, mirror: bool) -> Self:
        """Return the card of the same weights with or without mirrored chips; another digest has no points yet."""
        if mirror == self.architecture.mirror:
            return self
        architecture = self.architecture.model_copy(update={"mirror": mirror})
        digest = embedding_digest(self.weights_sha256, architecture, self.preprocessing, self.alignment)
        facts = {"architecture": architecture, "digest": digest, "calibration": None}
        return self.model_copy(update=facts | {"operating_points": (), "default_point": None})

    def to_json(self) -> str:
        """The card as it lies in a bundle: readable, and the same bytes every time."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def embedding_digest(
    weights_sha256: str, architecture: Architecture, preprocessing: Preprocessing, alignment: Alignment
) -> str:
    """Digest of all that decides an embedding."""
    parts = {"architecture": architecture, "preprocessing": preprocessing, "alignment": alignment}
    return _sha256_of(
        {"weights": weights_sha256} | {name: part.model_dump(mode="json") for name, part in parts.items()}
    )


def _sha256_of(facts: object) -> str:
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
