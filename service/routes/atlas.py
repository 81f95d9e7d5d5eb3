"""The atlas: what each of the 128 channels of the model goes with. It holds no person's face."""

from fastapi import APIRouter, Response

from embedder import FaceEmbedder
from embedder.explain import atlas_json_of

from ..errors import NotFound
from ..openapi import responses


def router(embedder: FaceEmbedder) -> APIRouter:
    """Join GET /v1/atlas."""
    routes = APIRouter(tags=["inside"])

    @routes.get("/v1/atlas", responses=responses(NotFound), response_class=Response)
    async def atlas() -> Response:
        """Return the model's atlas, as `visavis atlas` writes it: JSON, with a sentence for every channel."""
        found = atlas_json_of(embedder.card.identity("f32"))  # channels go with the same in every precision
        if found is None:
            raise NotFound("no atlas comes with this model; visavis atlas makes one from photos of people")
        return Response(found, media_type="application/json")

    return routes
