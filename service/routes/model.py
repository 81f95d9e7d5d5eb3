"""The served model: its card, and the digests that identify its embeddings."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, create_model

from embedder import FaceEmbedder, ModelCard, Precision

from ..errors import MalformedRequest
from ..openapi import link, responses
from ..served_model import ServedModel
from ..wire import ModelResponse, OperatingPoint

LINKS = {
    "verify": link(
        "/v1/verify",
        description="Compare two images at the card's default operating point.",
        parameters={"operating_point": "$response.body#/default_point"},
    )
}


def router(served: ServedModel) -> APIRouter:
    """Return the router of GET /v1/model."""
    routes = APIRouter(tags=["model"])
    answer_type = _answer_type()
    example = _content(served.current)

    @routes.get(
        "/v1/model",
        response_model=answer_type,
        responses=responses(MalformedRequest, example=example, links=LINKS),
    )
    async def model() -> ModelResponse:
        """Return the model card: description, operating points, limits and licence."""
        return answer_type.model_validate(_content(served.current))

    return routes


def _content(embedder: FaceEmbedder) -> dict[str, Any]:
    """Return the card, with the `model` fields of other answers.

    A card cannot contain its own digest, and its `digest` is that of embeddings in f32.
    """
    identity, precision = embedder.identity, embedder.precision
    digests = {"digest": identity.digest, "card_digest": identity.card_digest, "precision": precision}
    return embedder.card.model_dump(mode="json") | digests


def _answer_type() -> type[ModelResponse]:
    points: Any = (tuple[OperatingPoint, ...], ...)  # the same schema as in other answers
    card_fields = _fields_of(ModelCard) | {"operating_points": points}
    return create_model(
        "ModelResponse",
        __base__=ModelResponse,  # the client reads this class, so no field that it needs can be missing
        __doc__="The model card, its digest, and the precision it is served in.",
        card_digest=(str, ...),
        precision=(Precision, ...),
        **card_fields,
    )


def _fields_of(model: type[BaseModel]) -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in model.model_fields.items()}
