"""Explanation: why do two images show one person, or not? Shows both faces; nothing of them is kept."""

from fastapi import APIRouter, Request

from embedder import Explanation, QualityChoice

from .. import serializers
from ..examples import EXPLAIN_ANSWER
from ..inference import InferenceRunner
from ..openapi import PAIR_PROBLEMS, image_body, responses
from ..shapes import EXPLAIN, ParsedRequest
from ..wire import ExplainResponse


def router(desk: InferenceRunner) -> APIRouter:
    """Join POST /v1/explain."""
    routes = APIRouter(tags=["inside"])

    @routes.post(
        "/v1/explain", responses=responses(*PAIR_PROBLEMS, example=EXPLAIN_ANSWER), openapi_extra=image_body(EXPLAIN)
    )
    async def explain(request: Request) -> ExplainResponse:
        """Say whether two images show one person, and which places and channels speak for it. Treat it as the photos.

        The reasons are of the plain distance, before any threshold.
        """
        found, asked = await desk.submitted(request, EXPLAIN, lambda submission: _explained(desk, submission))
        return serializers.explanation(
            found, asked, total_ms=desk.elapsed_ms(request), asked_as=serializers.request_id(request)
        )

    return routes


def _explained(desk: InferenceRunner, submission: ParsedRequest) -> tuple[Explanation, QualityChoice]:
    question, saliency = submission.question, submission.options.saliency
    images = submission.one("probe"), submission.one("reference")
    return desk.embedder.explain(*images, **question, saliency=saliency), question["quality"]
