"""The model card: the only owner of every fact about a model's weights. Knows no files and no torch."""

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..types import ModelIdentity

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Triple = tuple[Finite, Finite, Finite]
LandmarkPoint = tuple[Finite, Finite]


class CardPart(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(CardPart):
    """A threshold with its name and its measured error rates; null = not measured."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]{0,63}$")]
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fmr: Rate | None
    fnmr: Rate | None
    note: str


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
    operating_points: tuple[OperatingPoint, ...]
    default_point: str
    provenance: Provenance
    weights_sha256: Digest
    digest: Digest

    @model_validator(mode="after")
    def _points_are_named_once_and_the_default_is_one_of_them(self) -> Self:
        names = [point.name for point in self.operating_points]
        if not names:
            raise ValueError("a card without an operating point cannot be served: add one")
        if len(set(names)) < len(names):
            raise ValueError(f"operating points must have different names, not {names}")
        if self.default_point not in names:
            raise ValueError(f"default_point {self.default_point!r} is none of {names}")
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

    def point(self, name: str) -> OperatingPoint:
        """Return the operating point of that name; KeyError if the card has none."""
        return {point.name: point for point in self.operating_points}[name]

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
