"""The application factory: builds the FastAPI app from its routes, handlers and middleware."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anyio import create_task_group
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from embedder import FaceEmbedder

from . import problems
from .access.control import PUBLIC, AccessControl, AccessPolicy, ScopeCheck, need_of
from .audit.log import MAX_REFUSALS, AuditLog, AuditRecorder
from .audit.requests import AuditMiddleware
from .errors import CrossSiteRequest, Forbidden, RateLimited, Unauthorized, UnknownHost
from .galleries import GalleryUpkeep, galleries_in, open_gallery_store
from .openapi import responses
from .reloading import ModelReloader
from .request_body import BodyReader, read_query
from .request_context import RequestContextMiddleware, unchanged
from .request_execution import ConcurrencyLimiter, Phase, RequestExecutor
from .routes import (
    atlas,
    explain,
    faces,
    galleries,
    health,
    identification,
    model,
    operations,
    pages,
    verify,
)
from .routes.health import Readiness, ReadinessState
from .served_model import ServedModel
from .settings import Settings
from .telemetry.metrics import ServiceMetrics, ServiceState
from .telemetry.traces import RequestObserver, traced
from .worker_link import WorkerLink

# Whose pixels all images of a request may have together: enough for 17 phone photos of 12 megapixels.
MAX_WHOLE_PICTURES = 5

DESCRIPTION = """Are these two photos of one person?

Every error is an RFC 9457 problem with a stable `code`; [/errors](/errors) explains each.
The service stores no image. It stores embeddings of people who are enrolled in a gallery, and no others.
visavis has **no** liveness detection: it cannot tell a live face from a photo.
"""

KEY = "key"
SECURITY_SCHEMES = {KEY: {"type": "http", "scheme": "bearer", "description": "A key, by visavis keys create."}}
ACCESS_PROBLEMS = responses(Unauthorized, Forbidden, CrossSiteRequest, UnknownHost, RateLimited)


class _Service(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return FastAPI's description, and how a key is sent."""
        description = super().openapi()
        description["components"]["securitySchemes"] = SECURITY_SCHEMES
        return description


def _do_nothing() -> None:
    """Ignore that the service is ready."""


def create_app(
    settings: Settings,
    embedder: FaceEmbedder,
    *,
    on_ready: Callable[[], None] = _do_nothing,
    load_again: Callable[[], FaceEmbedder] | None = None,
    link: WorkerLink | None = None,
) -> FastAPI:
    """Build the service around an embedder; `on_ready` is called once, after the first inference.

    `load_again` loads the model for a reload; None = the model cannot be reloaded. `link` is for one of several
    workers. Raises KeyFileError if the file of keys cannot be used, AuditFolderError if the audit log cannot be
    written, and GalleryError if the store cannot.
    """
    policy = AccessPolicy.of(settings, None if link is None else link.counter)
    audit = _recorder(settings, link)
    store = open_gallery_store(settings)
    served = ServedModel(embedder, galleries_in(store, settings.workers))
    is_group_ready = None if link is None else link.group_is_ready.is_set
    readiness = Readiness(served, on_ready=on_ready, audit=audit, is_group_ready=is_group_ready)
    reloader = None if load_again is None else ModelReloader(served, load_again, readiness.succeed)
    limiter = ConcurrencyLimiter(
        max_concurrent=settings.max_concurrent, max_waiting=settings.max_waiting, max_bytes=settings.request_bytes
    )
    upkeep = GalleryUpkeep(served, store, audit, is_ours=link is None or link.is_first)
    metrics = ServiceMetrics(lambda: _state(readiness, limiter, served, reloader, upkeep))
    observer = traced(metrics.ended)
    app = _new_app(policy, _lifespan(readiness, policy, audit, observer, upkeep))
    app.state.metrics, app.state.served, app.state.reloader = metrics, served, reloader
    runner = _executor(settings, served, limiter, metrics)
    routers = [resource.router(runner) for resource in (verify, faces, explain, galleries, identification)]
    routers += [model.router(served), atlas.router(served), health.router(readiness)]
    routers += [pages.router(has_galleries=store is not None), _operations(metrics, reloader, link)]
    for each in routers:
        app.include_router(_checked(each))
    problems.install_exception_handlers(app)
    app.add_middleware(AccessControl, policy=policy)
    app.add_middleware(
        RequestContextMiddleware,
        across_origins=_across_origins(settings.origins),
        audited=_audited(audit),
        check_host=policy.check_host,
        observe=observer,
    )
    return app


def _recorder(settings: Settings, link: WorkerLink | None) -> AuditRecorder | None:
    if settings.audit is None:
        return None
    if link is None:
        return AuditRecorder(AuditLog(Path(settings.audit)))
    return AuditRecorder(link.audit_log(), max_refusals=max(1, MAX_REFUSALS // link.n_workers))


def _operations(metrics: ServiceMetrics, reloader: ModelReloader | None, link: WorkerLink | None) -> APIRouter:
    """Return the routes for operators; those of a worker are about all of them."""
    if link is not None:
        return operations.router(link.metrics_text, link.reload)
    return operations.router(metrics.text, None if reloader is None else reloader.reload)


def _executor(
    settings: Settings, served: ServedModel, limiter: ConcurrencyLimiter, metrics: ServiceMetrics
) -> RequestExecutor:
    return RequestExecutor(
        served,
        BodyReader(settings.max_image_bytes, settings.body_timeout_s, settings.request_bytes),
        limiter,
        settings.request_timeout_s,
        MAX_WHOLE_PICTURES * settings.max_pixels,
        metrics.observe,
    )


def _new_app(policy: AccessPolicy, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    return _Service(
        title="visavis",
        version=version("visavis"),
        description=DESCRIPTION,
        dependencies=[Depends(ScopeCheck(needs_keys=policy.keys is not None)), Depends(read_query)],
        openapi_url=None,  # FastAPI's route has no dependencies; pages.py serves /openapi.json
        docs_url=None,  # FastAPI's page loads its script from a CDN; pages.py serves /docs
        redoc_url=None,
        redirect_slashes=False,  # a redirect would lose the body of many clients
        lifespan=lifespan,
        # Spans and metrics contain paths and errors, which could name a person.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )


def _state(
    readiness: Readiness,
    limiter: ConcurrencyLimiter,
    served: ServedModel,
    reloader: ModelReloader | None,
    upkeep: GalleryUpkeep,
) -> ServiceState:
    embedder = served.current
    return ServiceState(
        is_ready=readiness.state is ReadinessState.SUCCEEDED,
        n_slots=limiter.n_places,
        in_phase={phase.name.lower(): limiter.n_in(phase) for phase in Phase},
        n_bytes=limiter.n_bytes,
        max_bytes=limiter.max_bytes,
        model=embedder.identity,
        runtime=embedder.runtime_description,
        batch_sizes=dict(embedder.batch_sizes),
        n_reloads={} if reloader is None else dict(reloader.n_outcomes),
        is_last_reload_successful=reloader is None or reloader.is_last_successful,
        galleries=upkeep.totals,
    )


def _checked(router: APIRouter) -> APIRouter:
    """Return a router whose routes all say who may use them, also in the description. Raises RuntimeError."""
    for route in router.routes:
        if need_of(route) != PUBLIC and isinstance(route, APIRoute):
            route.responses = {**route.responses, **ACCESS_PROBLEMS}
            # An empty requirement, because a service without keys needs none.
            route.openapi_extra = {**(route.openapi_extra or {}), "security": [{}, {KEY: []}]}
    return router


def _audited(audit: AuditRecorder | None) -> Callable[[ASGIApp], ASGIApp]:
    """Return what records the answers of an app before they go out."""
    return unchanged if audit is None else partial(AuditMiddleware, recorder=audit)


def _across_origins(origins: tuple[str, ...]) -> Callable[[ASGIApp], ASGIApp]:
    """Return what adds the headers by which browsers let pages of other origins read an answer; never credentials."""
    if not origins:
        return unchanged
    return partial(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
        allow_headers=("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-Id"),
        expose_headers=("ETag", "X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"),
    )


def _lifespan(
    readiness: Readiness,
    policy: AccessPolicy,
    audit: AuditRecorder | None,
    observer: RequestObserver,
    upkeep: GalleryUpkeep,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with closing(observer):
            async with (
                nullcontext() if audit is None else audit.running(),
                upkeep.running(),
                create_task_group() as group,
            ):
                group.start_soon(readiness.find_out)  # in the background: /healthz and /readyz answer meanwhile
                if policy.keys is not None:
                    group.start_soon(policy.keys.watch)
                yield
                group.cancel_scope.cancel()

    return lifespan
