"""What an operator asks a running service: its metrics."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from ..access.caller import caller_of
from ..errors import NotFound
from ..telemetry.metrics import ServiceMetrics


def router(metrics: ServiceMetrics) -> APIRouter:
    """Return the router of GET /metrics."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/metrics")
    async def scrape(request: Request) -> Response:
        # Without keys anyone who reaches the service could read them; then they are on a port of their own only.
        if "metrics" not in caller_of(request).scopes:
            raise NotFound("metrics are served here to keys with the scope metrics; or set VISAVIS_METRICS_PORT")
        return Response(metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes
