"""The galleries of a service: their store, opened by the settings, and the people whose time to be forgotten comes."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from anyio import CancelScope, CapacityLimiter, create_task_group, sleep, to_thread

from gallery import GalleryError, Receipt

from .audit.gallery_facts import facts_of_expiry
from .audit.log import AuditRecorder
from .errors import AuditUnavailable
from .served_model import OpenGalleries, ServedModel, no_galleries
from .settings import Settings
from .telemetry.machine import free_bytes
from .telemetry.metrics import GalleryTotals

if TYPE_CHECKING:
    from gallery import Store

log = logging.getLogger("visavis.gallery")

MINUTE_S, HOUR_S = 60.0, 3600.0
EXPIRED = "expired"  # the event of the audit log


def open_gallery_store(settings: Settings) -> "Store | None":
    """Open the store that the settings name, None if they name none.

    Raises GalleryError, whose message does not show the address, and ModuleNotFoundError without the database's driver.
    """
    if settings.gallery is None:
        return None
    from gallery import open_store  # noqa: PLC0415 - imports SQLAlchemy, which only services with galleries need

    return open_store(settings.gallery, search=settings.gallery_search)


def galleries_in(store: "Store | None", n_processes: int = 1) -> OpenGalleries:
    """Return the function that opens the galleries of a store for a model, in one of several processes."""
    if store is None:
        return no_galleries
    from gallery import Galleries  # noqa: PLC0415 - the same

    return partial(Galleries, store, free_bytes=partial(free_bytes, n_processes=n_processes))


class GalleryUpkeep:
    """What is done beside requests: forgetting expired people at the start and hourly, and counting for metrics."""

    def __init__(
        self, served: ServedModel, store: "Store | None", audit: AuditRecorder | None, *, is_ours: bool = True
    ) -> None:
        """`is_ours` False = another process does it; this one only closes the store at its end."""
        self._served, self._store, self._audit, self._is_ours = served, store, audit, is_ours
        self._thread = CapacityLimiter(1)  # of its own: it must not take those of requests
        self.totals = None if store is None or not is_ours else GalleryTotals()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background until the block ends; then close the galleries and their store."""
        if self._store is None:
            yield
            return
        async with create_task_group() as group:
            if self._is_ours:
                group.start_soon(self._repeat, self._forget_expired, HOUR_S)
                group.start_soon(self._repeat, self._count, MINUTE_S)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
        if self._served.galleries is not None:
            self._served.galleries.close()
        self._store.close()

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except (GalleryError, AuditUnavailable) as error:  # neither names anybody
                log.error("the upkeep of galleries failed; next attempt in %.0f s: %s", every_s, error)  # noqa: TRY400 - the reason is enough
            await sleep(every_s)

    async def _forget_expired(self) -> None:
        with CancelScope(shield=True):  # what was forgotten is recorded, also if the service stops meanwhile
            await self._record(await to_thread.run_sync(self._expired, limiter=self._thread))

    async def _record(self, receipts: Sequence[Receipt]) -> None:
        if not receipts:
            return
        n_people, n_templates = sum(each.n_people for each in receipts), sum(each.n_templates for each in receipts)
        log.info("forgot people whose time had come: %d, with %d templates", n_people, n_templates)
        if self._audit is not None:
            await self._audit.record(EXPIRED, facts_of_expiry(n_people, n_templates))

    def _expired(self) -> Sequence[Receipt]:
        with self._served.held() as model:
            return [] if model.galleries is None else model.galleries.forget_expired(datetime.now(UTC))

    async def _count(self) -> None:
        self.totals = await to_thread.run_sync(self._counted, limiter=self._thread)

    def _counted(self) -> GalleryTotals | None:
        if self._store is None:
            return None
        found = self._store.galleries()
        n_templates = [sum(each.n_templates.values()) for each in found]
        n_people = sum(each.n_people for each in found)
        return GalleryTotals(len(found), n_people, sum(n_templates), max(n_templates, default=0))
