"""Failures of a database -> StoreUnavailable. Their own texts are not repeated: they may contain facts about people."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeout

from .errors import StoreUnavailable

_SQLITE = {
    "SQLITE_FULL": "the disk is full; nothing of this write is stored; free space",
    "SQLITE_BUSY": "another program has locked it for too long; end that one, or try again",
    "SQLITE_READONLY": "it may not be written; change the rights of its file and folder",
    "SQLITE_CANTOPEN": "its file cannot be opened; look whether it and its folder are there",
    "SQLITE_CORRUPT": "its file is damaged; restore a backup",
    "SQLITE_NOTADB": "its file is none of SQLite; choose another one",
    "SQLITE_IOERR": "its disk fails; look at the system's log",
}


@contextmanager
def raising_store_errors() -> Iterator[None]:
    """Raise StoreUnavailable for whatever fails in the database."""
    try:
        yield
    except PoolTimeout:
        raise StoreUnavailable("the store is busy: all its connections are in use; try again") from None
    except DBAPIError as error:
        raise StoreUnavailable(f"the store cannot be used: {_reason(error.orig)}") from None
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be used: {_reason(error)}") from None
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the store cannot be used: {type(error).__name__}") from None


def _reason(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        return next((text for code, text in _SQLITE.items() if name.startswith(code)), name or type(error).__name__)
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}" + (f" (SQLSTATE {state})" if state else "")
