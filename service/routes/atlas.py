"""The atlas: the traits that each of the model's channels correlates with. It contains no face."""

from fastapi import APIRouter, Response

from embedder.explain import atlas_json_of

from ..errors import MalformedRequest, NotFound
from ..openapi import responses
from ..served_model import ServedModel


def router(served: ServedModel) -> APIRouter:
    """Return the router of GET /v1/atlas."""
    routes = APIRouter(tags=["inside"])

    @routes.get("/v1/atlas", responses=responses(MalformedRequest, NotFound), response_class=Response)
    async def atlas() -> Response:
        """Return the model's atlas, as `visavis atlas` writes it: JSON, with a sentence for every channel."""
        found = atlas_json_of(served.current.card.identity("f32"))  # the atlas is the same for every precision
        if found is None:
            raise NotFound("this model has no atlas; visavis atlas makes one from photos of people")
        return Response(found, media_type="application/json")

    return routes
