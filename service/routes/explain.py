"""Explanations of a comparison, the network's layers and feature maps. The answers show faces; none is stored."""

from dataclasses import asdict, dataclass

from fastapi import APIRouter, Request

from embedder import QualityChoice, UnknownLayer
from embedder.explain import Drawing, Explanation, FeatureMaps, NetworkDescription, draw_maps

from .. import serializers
from ..audit.requests import facts_of_comparison, facts_of_faces, note_facts
from ..errors import Busy, InternalError, MalformedRequest
from ..openapi import (
    BODY_PROBLEMS,
    EXPLAIN_ANSWER,
    FACE_PROBLEMS,
    IMAGE_PROBLEMS,
    PAIR_PROBLEMS,
    image_body,
    link,
    responses,
)
from ..request_execution import RequestExecutor
from ..request_parsing import EXPLAIN, MAPS, ParsedRequest, verify_options
from ..wire import ExplainOptions, ExplainResponse, LayersResponse, MapsOptions, MapsResponse

LINKS = {
    "maps": link(
        "/v1/maps",
        description="Draw the maps of a layer; here of the first.",
        parameters={"layer": "$response.body#/layers/0/name"},
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Maps and their picture."""

    maps: FeatureMaps
    drawing: Drawing


def router(runner: RequestExecutor) -> APIRouter:
    """Return the router of POST /v1/explain, GET /v1/layers and POST /v1/maps."""
    routes = APIRouter(tags=["inside"])

    @routes.post(
        "/v1/explain", responses=responses(*PAIR_PROBLEMS, example=EXPLAIN_ANSWER), openapi_extra=image_body(EXPLAIN)
    )
    async def explain(request: Request) -> ExplainResponse:
        """Compare two images and return the places and channels that influenced the distance most.

        They explain the plain distance, before any threshold. The answer shows the faces: treat it like the photos.
        """
        found, asked = await runner.run(request, EXPLAIN, lambda parsed: _explained(runner, parsed))
        note_facts(request, facts_of_comparison(found.comparison, asked))
        return serializers.explanation(
            found, asked, total_ms=runner.elapsed_ms(request), asked_as=serializers.request_id(request)
        )

    @routes.get("/v1/layers", responses=responses(MalformedRequest, InternalError, Busy, links=LINKS))
    async def layers(request: Request) -> LayersResponse:
        """Return the network layer by layer, as it runs."""
        # The first request builds the description, which takes part of a second.
        description = await runner.run_without_body(request, lambda: _described(runner))
        return serializers.layers(description, request.state.model)

    @routes.post(
        "/v1/maps",
        responses=responses(*BODY_PROBLEMS, *IMAGE_PROBLEMS, *FACE_PROBLEMS, UnknownLayer),
        openapi_extra=image_body(MAPS),
    )
    async def maps(request: Request) -> MapsResponse:
        """Return the feature maps of a layer for one face, as a picture. Treat it like the photo."""
        made = await runner.run(request, MAPS, lambda parsed: _draw(runner, parsed))
        note_facts(request, facts_of_faces(made.maps.chip.sample.n_faces))
        return serializers.maps(made.maps, made.drawing, serializers.request_id(request))

    return routes


def _described(runner: RequestExecutor) -> NetworkDescription:
    """Describe the network of the model that the request holds."""
    return runner.explainer.describe()


def _explained(runner: RequestExecutor, parsed: ParsedRequest[ExplainOptions]) -> tuple[Explanation, QualityChoice]:
    options = verify_options(parsed.options)
    images = parsed.one("probe"), parsed.one("reference")
    found = runner.explainer.explain(*images, saliency=parsed.options.saliency, **asdict(options))
    return found, options.quality


def _draw(runner: RequestExecutor, parsed: ParsedRequest[MapsOptions]) -> _Drawn:
    options = parsed.options
    maps = runner.explainer.maps(parsed.one("image"), layer=options.layer, face=options.face)
    return _Drawn(maps, draw_maps(maps))
