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
_POSTGRES = {  # by the start of the SQLSTATE
    "53100": "its disk is full; nothing of this write is stored; free space",
    "53": "its server has too little memory or too many connections; try again, or raise its limits",
    "55P03": "somebody else has locked the gallery for too long; try again",
    "40": "others write to the same gallery; try again",
    "28": "its server refuses the user or the password",
    "3D000": "its server has no database of that name; create it",
    "42501": "the user may not do that in its database; grant the rights",
    "25006": "its server is read-only, as a standby is; name the primary one",
    "57P": "its server is stopping or starting; try again",
}
UNKNOWN = "; if this was a write, it may or may not be stored: look, or repeat it with the same idempotency key"


@contextmanager
def raising_store_errors() -> Iterator[None]:
    """Raise StoreUnavailable for whatever fails in the database."""
    try:
        yield
    except PoolTimeout:
        raise StoreUnavailable("the store is busy: all its connections are in use; try again") from None
    except DBAPIError as error:
        doubt = UNKNOWN if error.connection_invalidated else ""
        raise StoreUnavailable(f"the store cannot be used: {_reason(error.orig)}{doubt}") from None
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store cannot be used: {_reason(error)}") from None
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the store cannot be used: {type(error).__name__}") from None


def _reason(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "")
        return next((text for code, text in _SQLITE.items() if name.startswith(code)), name or type(error).__name__)
    state = getattr(error, "sqlstate", None)
    if state is None:  # there was no answer of a server, so no value is in the text
        return str(error).partition("\n")[0] or type(error).__name__
    return next((text for code, text in _POSTGRES.items() if state.startswith(code)), f"SQLSTATE {state}")
