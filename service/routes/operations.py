"""What an operator asks a running service: its metrics, and to reload its model."""

from collections.abc import Callable

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from .. import serializers
from ..access.caller import caller_of
from ..errors import Busy, NotFound
from ..reloading import ReloadOutcome
from ..wire import ReloadResponse


def router(metrics_text: Callable[[], bytes], reload_model: Callable[[], ReloadOutcome] | None) -> APIRouter:
    """Return the router of GET /metrics and POST /v1/admin/reload. Both functions may block."""
    routes = APIRouter(include_in_schema=False)
    one_at_a_time = CapacityLimiter(1)  # of its own: reloads must not take the threads that read the keys again
    one_scrape = CapacityLimiter(1)

    @routes.get("/metrics")
    async def scrape(request: Request) -> Response:
        _require_key(request, "metrics are served to keys with the scope metrics; or set VISAVIS_METRICS_PORT")
        return Response(await to_thread.run_sync(metrics_text, limiter=one_scrape), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    @routes.post("/v1/admin/reload")
    async def reload(request: Request) -> ReloadResponse:
        """Load the model again, as SIGHUP does; the answer says whether it is served now, or why not.

        Raises Busy while another such request is in progress.
        """
        _require_key(request, "keys with the scope admin reload the model; or send SIGHUP to the process")
        if reload_model is None:
            raise NotFound("this service cannot reload its model; restart it")
        if one_at_a_time.borrowed_tokens:
            raise Busy
        outcome = await to_thread.run_sync(reload_model, limiter=one_at_a_time)
        return ReloadResponse(
            reloaded=outcome.is_reloaded,
            reason=outcome.reason,
            model=serializers.model(outcome.model),
            request_id=serializers.request_id(request),
        )

    return routes


def _require_key(request: Request, hint: str) -> None:
    """Raise NotFound for a caller without a key; that a key has the scope is checked before."""
    if caller_of(request).key_id is None:
        raise NotFound(hint)
