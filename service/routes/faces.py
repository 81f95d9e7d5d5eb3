"""The faces in an image, their embeddings, and distances between embeddings. Biometric data; none is stored."""

from math import hypot

from fastapi import APIRouter, Request

from embedder import (
    ALL_FACES,
    DigestMismatch,
    Distances,
    Embedding,
    EmbeddingBatch,
    FaceEmbedder,
    OperatingPointUnavailable,
    SampleError,
    TooManyFaces,
)

from .. import serializers
from ..audit.requests import facts_of_distances, facts_of_embeddings, facts_of_faces, note_facts
from ..errors import MalformedRequest
from ..openapi import (
    BODY_PROBLEMS,
    COMPARE_ANSWER,
    COMPARE_QUESTION,
    EMBED_ALL_ANSWER,
    FACE_PROBLEMS,
    FACES_ANSWER,
    IMAGE_PROBLEMS,
    image_body,
    json_body,
    link,
    responses,
)
from ..request_execution import RequestExecutor
from ..request_parsing import EMBEDDING, FACES, ParsedRequest
from ..wire import (
    MAX_EMBEDDINGS,
    CompareRequest,
    CompareResponse,
    DecisionOptions,
    EmbedAllResponse,
    EmbeddingOptions,
    EmbeddingResponse,
    FacesResponse,
)

LINKS = {
    "compare": link(
        "/v1/embeddings/compare",
        description="Compare the embedding of one image with others of the same model; here with itself.",
        requestBody={
            "probe": "$response.body#/embedding",
            "references": ["$response.body#/embedding"],
            "model_digest": "$response.body#/model/digest",
        },
    )
}


def router(runner: RequestExecutor) -> APIRouter:
    """Return the router of POST /v1/faces, POST /v1/embeddings and POST /v1/embeddings/compare."""
    routes = APIRouter()

    @routes.post(
        "/v1/faces",
        tags=["detection"],
        responses=responses(*BODY_PROBLEMS, *IMAGE_PROBLEMS, example=FACES_ANSWER),
        openapi_extra=image_body(FACES),
    )
    async def faces(request: Request) -> FacesResponse:
        """Find every face, largest first; for an image without a face the list is empty."""
        found = await runner.run(request, FACES, lambda parsed: runner.embedder.detect(parsed.one("image")))
        note_facts(request, facts_of_faces(len(found)))
        return FacesResponse(
            faces=[serializers.face(each) for each in found], request_id=serializers.request_id(request)
        )

    @routes.post(
        "/v1/embeddings",
        tags=["embeddings"],
        responses=responses(
            *BODY_PROBLEMS, *IMAGE_PROBLEMS, *FACE_PROBLEMS, TooManyFaces, example=EMBED_ALL_ANSWER, links=LINKS
        ),
        openapi_extra=image_body(EMBEDDING),
        response_model_exclude_unset=True,
    )
    async def embed(request: Request) -> EmbeddingResponse | EmbedAllResponse:
        """Return the embedding of one face; with face=all or several images, those of all selected faces.

        Embeddings are biometric data: protect them like the photos.
        """
        found = await runner.run(request, EMBEDDING, lambda parsed: _embed(runner, parsed))
        note_facts(request, facts_of_embeddings(found))
        total_ms, asked_as = runner.elapsed_ms(request), serializers.request_id(request)
        if isinstance(found, Embedding):
            return serializers.embedding(found, total_ms=total_ms, asked_as=asked_as)
        return serializers.embeddings(found, total_ms=total_ms, asked_as=asked_as)

    _join_compare(routes, runner)
    return routes


def _join_compare(routes: APIRouter, runner: RequestExecutor) -> None:
    @routes.post(
        "/v1/embeddings/compare",
        tags=["embeddings"],
        responses=responses(*BODY_PROBLEMS, DigestMismatch, OperatingPointUnavailable, example=COMPARE_ANSWER),
        openapi_extra=json_body(CompareRequest, DecisionOptions, COMPARE_QUESTION),
    )
    async def compare(request: Request) -> CompareResponse:
        """Compare one embedding with up to 1,000 others from the same model."""
        distances = await runner.run_reading(
            request,
            lambda hold: runner.body_reader.read_json(
                request, CompareRequest, DecisionOptions, hold, max_values=_max_values(runner.embedder)
            ),
            lambda asked: _compare(runner, asked),
        )
        note_facts(request, facts_of_distances(distances))
        return _answer(distances, request)


def _max_values(embedder: FaceEmbedder) -> int:
    """Twice what a request may have, so that a few too many get their own error."""
    return 2 * MAX_EMBEDDINGS * embedder.card.architecture.embedding_size


def _answer(distances: Distances, request: Request) -> CompareResponse:
    return CompareResponse(
        results=[serializers.judgement(each) for each in distances.results],
        operating_point=serializers.operating_point(distances.operating_point),
        prior=distances.prior,
        model=serializers.model(request.state.model),
        request_id=serializers.request_id(request),
    )


def _embed(runner: RequestExecutor, parsed: ParsedRequest[EmbeddingOptions]) -> Embedding | EmbeddingBatch:
    images, face = parsed.images["image"], parsed.options.face
    if face != ALL_FACES and len(images) == 1:
        return runner.embedder.embed(images[0], face=face)
    batch = runner.embedder.embed_many(images, face=face)
    if len(images) == 1 and isinstance(batch.results[0], SampleError):
        raise batch.results[0]
    return batch


def _compare(runner: RequestExecutor, asked: CompareRequest) -> Distances:
    _require_embeddings(asked, runner.embedder)
    return runner.embedder.compare(
        asked.probe,
        asked.references,
        model_digest=asked.model_digest,
        **{name: getattr(asked, name) for name in DecisionOptions.model_fields},
    )


def _require_embeddings(asked: CompareRequest, embedder: FaceEmbedder) -> None:
    """Raise MalformedRequest if an embedding said to be of the served model is none that it can make."""
    n_channels = embedder.card.architecture.embedding_size
    if asked.model_digest != embedder.identity.digest:
        return  # another model, which is told instead
    named = [("probe", asked.probe), *((f"references.{k}", each) for k, each in enumerate(asked.references))]
    for name, vector in named:
        if len(vector) != n_channels:
            raise MalformedRequest(
                f"{name} has {len(vector)} numbers, but an embedding of {embedder.card.name} has {n_channels}; "
                "send the embedding as the service returned it"
            )
        if not embedder.card.architecture.makes_length(length := hypot(*vector)):
            raise MalformedRequest(
                f"{name} has the length {length:.3g}, but an embedding of {embedder.card.name} has a length of about "
                "1; send the embedding as the service returned it"
            )
