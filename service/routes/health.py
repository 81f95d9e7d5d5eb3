"""Liveness and readiness of the process, for load balancers; it is ready after a successful inference."""

import logging
from collections.abc import Callable
from enum import Enum, auto
from io import BytesIO

import numpy as np
from anyio import to_thread
from fastapi import APIRouter
from PIL import Image

from embedder import FaceEmbedder
from gallery import GalleryError

from ..audit.log import AuditRecorder
from ..errors import AuditUnavailable, MalformedRequest, NotReady
from ..openapi import responses
from ..served_model import LoadedModel, ServedModel
from ..wire import Health

log = logging.getLogger("visavis.readiness")

GREY = 127
PICTURE_SIZE_PX = 160


class ReadinessState(Enum):
    """The state of the first inference."""

    UNDER_WAY = auto()
    SUCCEEDED = auto()
    FAILED = auto()


class Readiness:
    """Runs the first inference and stores its outcome."""

    def __init__(
        self,
        served: ServedModel,
        *,
        on_ready: Callable[[], None],
        audit: AuditRecorder | None = None,
        is_group_ready: Callable[[], bool] | None = None,
    ) -> None:
        """`is_group_ready` tells whether all workers were ready once; None = there are no others."""
        self._served = served
        self._is_group_ready = is_group_ready
        self._audit = audit
        self._on_ready = on_ready
        self.state = ReadinessState.UNDER_WAY

    async def find_out(self) -> None:
        """Run the first inference in a thread; a failure is logged and stored, not raised."""
        try:
            with self._served.held() as model:  # a reload meanwhile closes it afterwards
                await to_thread.run_sync(first_inference, model.embedder)
                await to_thread.run_sync(load_galleries, model)
        except Exception:  # the service goes on, to report that it is not ready; the image shows no face, so log it all
            self.state = ReadinessState.FAILED
            log.exception("the first inference failed; the service stays not ready")
            return
        self.succeed()

    def succeed(self) -> None:
        """Store that an inference succeeded: the first one, or after a failure that of a reload. Thread-safe."""
        if self.state is not ReadinessState.SUCCEEDED:
            self.state = ReadinessState.SUCCEEDED
            self._on_ready()

    async def check_all(self) -> None:
        """Raise NotReady unless the first inference succeeded, AuditUnavailable if the audit log cannot be written."""
        self.check()
        if self._audit is not None:
            await self._audit.require_writable()

    def check(self) -> None:
        """Raise NotReady unless the first inference succeeded, in all workers if there are several."""
        is_under_way = self.state is ReadinessState.UNDER_WAY
        if self._is_group_ready is not None:
            is_under_way = not self._is_group_ready()
        if self.state is ReadinessState.FAILED:
            raise NotReady("the first inference failed; see the service's log, then reload the model or restart")
        if is_under_way:
            raise NotReady("the model is loading; try again in a moment")


def load_galleries(model: LoadedModel) -> None:
    """Read all templates into memory. A store that fails does not keep the service from being ready for the rest."""
    try:
        if model.galleries is not None:
            model.galleries.load()
    except GalleryError as error:
        log.error("the galleries could not be read: %s", error)  # noqa: TRY400 - the reason is enough


def first_inference(embedder: FaceEmbedder) -> None:
    """Run every network on a plain grey image and check that the results are finite numbers."""
    embedder.detect(_grey_picture())
    side_px = embedder.card.alignment.chip_size_px
    vectors = embedder.embed_chips(np.full((1, side_px, side_px, 3), GREY, np.uint8))
    expected = (1, embedder.card.architecture.embedding_size)
    if vectors.shape != expected or not np.isfinite(vectors).all():
        raise ValueError(
            f"the network returned shape {vectors.shape} instead of {expected}, or values that are not finite"
        )


def _grey_picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (PICTURE_SIZE_PX, PICTURE_SIZE_PX), (GREY, GREY, GREY)).save(file, "PNG")
    return file.getvalue()


def router(readiness: Readiness) -> APIRouter:
    """Return the router of GET /healthz and GET /readyz."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", responses=responses(MalformedRequest))
    async def alive() -> Health:
        """Answer as long as the process is alive."""
        return Health(status="ok")

    @routes.get("/readyz", responses=responses(MalformedRequest, NotReady, AuditUnavailable))
    async def ready() -> Health:
        """Answer with 200 once the model has completed a real inference."""
        await readiness.check_all()
        return Health(status="ready")

    return routes
