"""Open a store by its URL: SQLite or PostgreSQL, with the schema of this version."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .database_errors import raising_store_errors
from .errors import InvalidValue
from .proposals import prepare_proposals
from .schema_versions import SchemaUpgrade, require_schema, upgrade_schema
from .sqlite import SqliteBackend
from .store import Backend, Store, utc_now
from .types import GallerySearch

FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def open_store(url: str, *, search: GallerySearch = "memory", now: Callable[[], datetime] = utc_now) -> Store:
    """Open a store, which is created if the database is empty.

    `search` tells where searches look for templates: `memory` holds all, `pgvector` asks PostgreSQL for some.

    Raises InvalidValue for a wrong URL or a database without pgvector, SchemaMismatch for a schema of another version,
    and StoreUnavailable.
    """
    backend = open_backend(url)
    try:
        with raising_store_errors():
            require_schema(backend.engine)
            if search == "pgvector":
                _prepare_proposals(backend)
            backend.drop_traces()  # of what a process forgot that was killed before it could
    except BaseException:
        backend.close()
        raise
    return Store(backend, now, search)


def _prepare_proposals(backend: Backend) -> None:
    if backend.engine.dialect.name != "postgresql":
        raise InvalidValue("pgvector is an extension of PostgreSQL; search this store in memory")
    prepare_proposals(backend.engine)


def upgrade_store(url: str) -> SchemaUpgrade:
    """Bring the schema of a store to the one of this version; make a backup before.

    Raises InvalidValue for a wrong URL, SchemaMismatch if the schema is newer, and StoreUnavailable.
    """
    backend = open_backend(url)
    try:
        with raising_store_errors():
            return upgrade_schema(backend.engine)
    finally:
        backend.close()


def open_backend(url: str) -> Backend:
    """Connect to the database of a store, whatever is in it."""
    parsed = _parsed(url)
    with raising_store_errors():
        if parsed.get_backend_name() == "sqlite":
            return SqliteBackend(parsed)
        from .postgres import PostgresBackend  # noqa: PLC0415 - its driver is an extra

        return PostgresBackend(parsed)


def _parsed(url: str) -> URL:
    """The URL's parts. No message repeats it: it may contain a password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidValue(f"the store's URL cannot be read; it must be {FORMS}") from None
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise InvalidValue(f"a store cannot be opened by {parsed.drivername}://; it must be {FORMS}")
    return parsed
