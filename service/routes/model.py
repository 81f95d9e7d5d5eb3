"""The model that is served: its card, and the digests by which its embeddings are known."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, create_model

from embedder import FaceEmbedder, ModelCard, Precision

from ..openapi import responses
from ..wire import ModelResponse, OperatingPoint


def router(embedder: FaceEmbedder) -> APIRouter:
    """Join GET /v1/model."""
    routes = APIRouter(tags=["model"])
    # The card, with what the `model` of other answers has: a card cannot hold the digest of itself, and its `digest` is
    # that of embeddings in f32.
    identity, precision = embedder.identity, embedder.precision
    served = {"digest": identity.digest, "card_digest": identity.card_digest, "precision": precision}
    told = embedder.card.model_dump(mode="json") | served
    answer_type = _answer_type()
    answer = answer_type.model_validate(told)

    @routes.get("/v1/model", response_model=answer_type, responses=responses(example=told))
    async def model() -> ModelResponse:
        """Return the model card: what the model is, its operating points, its limits and its licence."""
        return answer

    return routes


def _answer_type() -> type[ModelResponse]:
    points: Any = (tuple[OperatingPoint, ...], ...)  # as in other answers: described once
    card_fields = _fields_of(ModelCard) | {"operating_points": points}
    return create_model(
        "ModelResponse",
        __base__=ModelResponse,  # what the client reads, so nothing that it needs can be missing here
        __doc__="The model card, its digest, and the precision it is served in.",
        card_digest=(str, ...),
        precision=(Precision, ...),
        **card_fields,
    )


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in model.model_fields.items()}
