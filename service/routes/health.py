"""Is the process alive, and can it answer? For load balancers and orchestrators."""

from fastapi import APIRouter

from ..errors import NotReady
from ..openapi import responses
from ..readiness import Readiness
from ..wire import Health


def router(readiness: Readiness) -> APIRouter:
    """Join GET /healthz and GET /readyz."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def alive() -> Health:
        """Answer as long as the process is alive."""
        return Health(status="ok")

    @routes.get("/readyz", responses=responses(NotReady))
    async def ready() -> Health:
        """Answer with 200 once the model has answered a real inference."""
        readiness.check()
        return Health(status="ready")

    return routes
