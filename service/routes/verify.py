"""Verification: whether a reference shows the same person as the probe."""

from dataclasses import asdict

from fastapi import APIRouter, Request

from embedder import Comparison, ComparisonBatch

from .. import serializers
from ..audit.requests import facts_of_batch, facts_of_comparison, note_facts
from ..openapi import PAIR_PROBLEMS, VERIFY_ANSWER, VERIFY_MANY_ANSWER, image_body, responses
from ..request_execution import RequestExecutor
from ..request_parsing import VERIFY, VERIFY_MANY, ParsedRequest, verify_options
from ..wire import QualityChoice, VerifyManyResponse, VerifyOptions, VerifyResponse


def router(runner: RequestExecutor) -> APIRouter:
    """Return the router of POST /v1/verify and POST /v1/verify/many."""
    routes = APIRouter(tags=["verification"])

    @routes.post(
        "/v1/verify", responses=responses(*PAIR_PROBLEMS, example=VERIFY_ANSWER), openapi_extra=image_body(VERIFY)
    )
    async def verify(request: Request) -> VerifyResponse:
        """Decide whether two images show one person. No liveness detection: it cannot tell a live face from a photo."""
        comparison, asked = await runner.run(request, VERIFY, lambda parsed: _compare(runner, parsed))
        note_facts(request, facts_of_comparison(comparison, asked))
        return VerifyResponse(
            **dict(serializers.verdict(comparison, asked)),
            model=serializers.model(comparison.model),
            timings_ms=serializers.timings(comparison.timings_ms, runner.elapsed_ms(request)),
            request_id=serializers.request_id(request),
        )

    @routes.post(
        "/v1/verify/many",
        responses=responses(*PAIR_PROBLEMS, example=VERIFY_MANY_ANSWER),
        openapi_extra=image_body(VERIFY_MANY),
        response_model_exclude_unset=True,
    )
    async def verify_many(request: Request) -> VerifyManyResponse:
        """Compare a probe with up to 16 references and return a verdict or a problem for each, in order."""
        batch, asked = await runner.run(request, VERIFY_MANY, lambda parsed: _compare_many(runner, parsed))
        note_facts(request, facts_of_batch(batch, asked))
        return VerifyManyResponse(
            results=[serializers.many_result(result, asked) for result in batch.results],
            model=serializers.model(batch.model),
            timings_ms=serializers.timings(batch.timings_ms, runner.elapsed_ms(request)),
            request_id=serializers.request_id(request),
        )

    return routes


def _compare(runner: RequestExecutor, parsed: ParsedRequest[VerifyOptions]) -> tuple[Comparison, QualityChoice]:
    options = verify_options(parsed.options)
    images = parsed.one("probe"), parsed.one("reference")
    return runner.embedder.verify(*images, **asdict(options)), options.quality


def _compare_many(
    runner: RequestExecutor, parsed: ParsedRequest[VerifyOptions]
) -> tuple[ComparisonBatch, QualityChoice]:
    options = verify_options(parsed.options)
    images = parsed.one("probe"), parsed.images["reference"]
    return runner.embedder.verify_many(*images, **asdict(options)), options.quality
