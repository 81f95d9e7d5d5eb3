"""The galleries of a service: their store, opened by the settings, and the people whose time to be forgotten comes."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, create_task_group, sleep, to_thread

from gallery import GalleryError, Receipt

from .audit.gallery_facts import facts_of_expiry
from .audit.log import AuditRecorder
from .errors import AuditUnavailable
from .served_model import OpenGalleries, ServedModel, no_galleries
from .settings import Settings

if TYPE_CHECKING:
    from gallery import Store

log = logging.getLogger("visavis.gallery")

HOUR_S = 3600.0
EXPIRED = "expired"  # the event of the audit log


def open_gallery_store(settings: Settings) -> "Store | None":
    """Open the store that the settings name, None if they name none.

    Raises GalleryError, whose message does not show the address, and ModuleNotFoundError without the database's driver.
    """
    if settings.gallery is None:
        return None
    from gallery import open_store  # noqa: PLC0415 - imports SQLAlchemy, which only services with galleries need

    return open_store(settings.gallery)


def galleries_in(store: "Store | None") -> OpenGalleries:
    """Return the function that opens the galleries of a store for a model."""
    if store is None:
        return no_galleries
    from gallery import Galleries  # noqa: PLC0415 - the same

    return partial(Galleries, store)


@asynccontextmanager
async def galleries_running(
    served: ServedModel, store: "Store | None", audit: AuditRecorder | None
) -> AsyncIterator[None]:
    """Forget expired people at once and then hourly; close the galleries and their store at the end."""
    if store is None:
        yield
        return
    async with create_task_group() as group:
        group.start_soon(_forget_expired_hourly, served, audit)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
            if served.galleries is not None:
                served.galleries.close()
            store.close()


async def _forget_expired_hourly(served: ServedModel, audit: AuditRecorder | None) -> None:
    thread = CapacityLimiter(1)  # of its own: it must not take those of requests
    while True:
        try:
            receipts = await to_thread.run_sync(_forget_expired, served, limiter=thread)
            await _record(receipts, audit)
        except (GalleryError, AuditUnavailable) as error:  # neither names anybody
            log.error("expired people may not be forgotten yet; next attempt in an hour: %s", error)  # noqa: TRY400 - the reason is enough
        await sleep(HOUR_S)


def _forget_expired(served: ServedModel) -> Sequence[Receipt]:
    with served.held() as model:
        return [] if model.galleries is None else model.galleries.forget_expired(datetime.now(UTC))


async def _record(receipts: Sequence[Receipt], audit: AuditRecorder | None) -> None:
    if not receipts:
        return
    n_people, n_templates = sum(each.n_people for each in receipts), sum(each.n_templates for each in receipts)
    log.info("%d people were forgotten, whose time had come, with %d templates", n_people, n_templates)
    if audit is not None:
        await audit.record(EXPIRED, facts_of_expiry(n_people, n_templates))
