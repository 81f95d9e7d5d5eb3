"""The model card as a caller reads it: what is needed to understand an answer. The embedder owns the whole card."""

from typing import Annotated

from pydantic import Field

from ..wire import Answer


class OperatingPoint(Answer):
    """A threshold with its name and its measured error rates; None = not measured."""

    name: str
    threshold: float
    fmr: float | None
    fnmr: float | None
    note: str


class Provenance(Answer):
    """On what terms the weights may be used, and what they were trained on."""

    license: str
    source: str
    trained_on: str


class ModelResponse(Answer):
    """The answer of GET /v1/model, as far as a caller needs it; the rest of the card is left out."""

    name: str
    digest: str  # of all that decides an embedding
    card_digest: str  # of the whole card
    summary: str
    limits: Annotated[list[str], Field(description="What the model does not do.")]
    metric: str
    operating_points: list[OperatingPoint]
    default_point: str
    provenance: Provenance
