"""Embeddings: the 128 channels of a face, and distances between them. Biometric data; nothing of it is kept."""

import numpy as np
from fastapi import APIRouter, Request

from embedder import DigestMismatch, Distances, Embedding, OperatingPointUnavailable

from .. import serializers
from ..examples import COMPARE_ANSWER, COMPARE_QUESTION
from ..inference import InferenceRunner
from ..openapi import BODY_PROBLEMS, FACE_PROBLEMS, IMAGE_PROBLEMS, image_body, json_body, responses
from ..shapes import EMBEDDING, ParsedRequest
from ..wire import MAX_EMBEDDINGS, CompareRequest, CompareResponse, EmbeddingResponse

LONGEST_CHANNEL = 64  # bytes that one number may take in JSON, line breaks and indentation included
MAX_COMPARE_BYTES = 2 * MAX_EMBEDDINGS * 128 * LONGEST_CHANNEL  # twice, so that a few too many are told as such


def router(desk: InferenceRunner) -> APIRouter:
    """Join POST /v1/embeddings and POST /v1/embeddings/compare."""
    routes = APIRouter(tags=["embeddings"])

    @routes.post(
        "/v1/embeddings",
        responses=responses(*BODY_PROBLEMS, *IMAGE_PROBLEMS, *FACE_PROBLEMS),
        openapi_extra=image_body(EMBEDDING),
    )
    async def embed(request: Request) -> EmbeddingResponse:
        """Return the embedding of one face. Biometric data: store and send it with the care due to the photo."""
        embedding = await desk.submitted(request, EMBEDDING, lambda submission: _embed(desk, submission))
        return EmbeddingResponse(
            embedding=embedding.vector.tolist(),
            sample=serializers.sample(embedding.sample),
            model=serializers.model(embedding.model),
            timings_ms=serializers.timings(embedding.timings_ms, desk.elapsed_ms(request)),
            request_id=serializers.request_id(request),
        )

    @routes.post(
        "/v1/embeddings/compare",
        responses=responses(*BODY_PROBLEMS, DigestMismatch, OperatingPointUnavailable, example=COMPARE_ANSWER),
        openapi_extra=json_body(CompareRequest, COMPARE_QUESTION),
    )
    async def compare(request: Request) -> CompareResponse:
        """Compare one embedding with up to 1,000 made by the same model."""
        distances = await desk.serve(
            request,
            lambda: desk.intake.json(request, CompareRequest, max_bytes=MAX_COMPARE_BYTES),
            lambda asked: _compare(desk, asked),
        )
        return _answer(distances, desk, request)

    return routes


def _answer(distances: Distances, desk: InferenceRunner, request: Request) -> CompareResponse:
    return CompareResponse(
        results=[serializers.judgement(each) for each in distances.results],
        operating_point=serializers.operating_point(distances.operating_point),
        prior=distances.prior,
        model=serializers.model(desk.embedder.identity),
        request_id=serializers.request_id(request),
    )


def _embed(desk: InferenceRunner, submission: ParsedRequest) -> Embedding:
    return desk.embedder.embed(submission.one("image"), face=submission.options.face)


def _compare(desk: InferenceRunner, asked: CompareRequest) -> Distances:
    return desk.embedder.compare(
        np.asarray(asked.probe, np.float32),
        np.asarray(asked.references, np.float32),
        model_digest=asked.model_digest,
        threshold=asked.threshold,
        operating_point=asked.operating_point,
        prior=asked.prior,
    )
