"""Detection: which faces are in an image?"""

from fastapi import APIRouter, Request

from .. import serializers
from ..examples import FACES_ANSWER
from ..inference import InferenceRunner
from ..openapi import BODY_PROBLEMS, IMAGE_PROBLEMS, image_body, responses
from ..shapes import FACES
from ..wire import FacesResponse


def router(desk: InferenceRunner) -> APIRouter:
    """Join POST /v1/faces."""
    routes = APIRouter(tags=["detection"])

    @routes.post(
        "/v1/faces",
        responses=responses(*BODY_PROBLEMS, *IMAGE_PROBLEMS, example=FACES_ANSWER),
        openapi_extra=image_body(FACES),
    )
    async def faces(request: Request) -> FacesResponse:
        """Find every face, largest first; an image without a face is answered with an empty list."""
        found = await desk.submitted(request, FACES, lambda submission: desk.embedder.detect(submission.one("image")))
        return FacesResponse(
            faces=[serializers.face(each) for each in found], request_id=serializers.request_id(request)
        )

    return routes
