"""Open a store by its URL: SQLite or PostgreSQL, with the schema of this version."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from .database_errors import raising_store_errors
from .errors import InvalidValue
from .schema_versions import require_schema
from .sqlite import SqliteBackend
from .store import Backend, Store, utc_now

FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def open_store(url: str, *, now: Callable[[], datetime] = utc_now) -> Store:
    """Open a store, which is created if the database is empty.

    Raises InvalidValue for a wrong URL, SchemaMismatch for a schema of another version, and StoreUnavailable.
    """
    backend = open_backend(url)
    try:
        with raising_store_errors():
            require_schema(backend.engine)
            backend.drop_traces()  # of what a process forgot that was killed before it could
    except BaseException:
        backend.close()
        raise
    return Store(backend, now)


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
