"""Inside the network: its layers, and the feature maps that one of them makes of a face. Nothing of it is kept."""

from dataclasses import dataclass

from fastapi import APIRouter, Request

from embedder import Drawing, FeatureMaps, UnknownLayer, draw_maps

from .. import serializers
from ..errors import Busy, InternalError
from ..inference import InferenceRunner
from ..openapi import BODY_PROBLEMS, FACE_PROBLEMS, IMAGE_PROBLEMS, image_body, responses
from ..shapes import MAPS, ParsedRequest
from ..wire import LayersResponse, MapsResponse


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Maps and their picture."""

    maps: FeatureMaps
    drawing: Drawing


def router(desk: InferenceRunner) -> APIRouter:
    """Join GET /v1/layers and POST /v1/maps."""
    routes = APIRouter(tags=["inside"])

    @routes.get("/v1/layers", responses=responses(InternalError, Busy))
    async def layers() -> LayersResponse:
        """Return the network layer by layer, as it runs."""
        with desk.gate.place():  # what it takes is made when it is first asked for, in part of a second
            description = await desk.gate.work(desk.embedder.describe)
        return serializers.layers(description, desk.embedder.identity)

    @routes.post(
        "/v1/maps",
        responses=responses(*BODY_PROBLEMS, *IMAGE_PROBLEMS, *FACE_PROBLEMS, UnknownLayer),
        openapi_extra=image_body(MAPS),
    )
    async def maps(request: Request) -> MapsResponse:
        """Return what each channel of a layer makes of one face, as a picture. Treat it like the photo."""
        made = await desk.submitted(request, MAPS, lambda submission: _draw(desk, submission))
        return serializers.maps(made.maps, made.drawing, serializers.request_id(request))

    return routes


def _draw(desk: InferenceRunner, submission: ParsedRequest) -> _Drawn:
    options = submission.options
    maps = desk.embedder.maps(submission.one("image"), layer=options.layer, face=options.face)
    return _Drawn(maps, draw_maps(maps))
