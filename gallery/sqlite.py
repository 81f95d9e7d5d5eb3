"""What differs with SQLite: one private file, several threads and processes at once, no trace after forgetting."""

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from embedder import time_left_s

from .errors import InvalidValue, StoreUnavailable

BUSY_TIMEOUT_S = 30.0  # that a write waits for those of other threads and processes
TRUNCATION_S = 5.0  # that a forgetting waits for readers
POLLING_S = 0.05  # between two looks whether another process has written

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # what is acknowledged is on the disk
    "secure_delete = ON",  # deleted rows are overwritten with zeros
    "foreign_keys = ON",
    "temp_store = MEMORY",  # no file outside the store
    "trusted_schema = OFF",
)


class SqliteBackend:
    """A store in one SQLite file."""

    def __init__(self, url: URL) -> None:
        path = _path(url)
        _make_private_file(path)
        self.engine = _engine(path)
        self._poller = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._polling, self._closed = Lock(), Event()
        self._seen = -1

    def options(self, *, writes: bool) -> Mapping[str, object]:
        """Options of a connection: whether it takes the lock of the writer, of which there is one at a time."""
        return {"writes": writes}

    def announce(self, connection: Connection) -> None:
        """Nothing: others see the file's version."""

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until any connection, of this process or another one, has written."""
        with self._polling:
            for _ in range(max(1, round(timeout_s / POLLING_S))):
                if self._has_changed():
                    return True
                if self._closed.wait(POLLING_S):
                    return False
            return False

    def drop_traces(self) -> None:
        """Leave no copy of forgotten embeddings in the log, unless another program reads the file for long."""
        self._truncate_log(TRUNCATION_S)

    def erase(self) -> tuple[str, ...]:
        """Rewrite the file too: copies of other columns of forgotten rows may be left in it."""
        with self._bare_connection() as connection:
            connection.execute("PRAGMA temp_store = FILE")  # VACUUM makes a second database there
            connection.execute("VACUUM")
            connection.execute("PRAGMA temp_store = MEMORY")
        return self._truncate_log(BUSY_TIMEOUT_S)

    def _truncate_log(self, wait_s: float) -> tuple[str, ...]:
        """Write the log of changes into the file, and cut it to no length."""
        with self._bare_connection() as connection:
            connection.execute(f"PRAGMA busy_timeout = {round(wait_s * 1_000)}")
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT_S * 1_000)}")
        return ("another program reads the file; erase again when it has ended",) if is_busy else ()

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        with self._polling:
            self._poller.close()
        self.engine.dispose()

    @contextmanager
    def _bare_connection(self) -> Iterator[sqlite3.Connection]:
        """A connection outside any transaction."""
        with closing(self.engine.raw_connection()) as connection:
            yield cast("sqlite3.Connection", connection.driver_connection)

    def _has_changed(self) -> bool:
        if self._closed.is_set():
            return False
        version = self._poller.execute("PRAGMA data_version").fetchone()[0]
        before, self._seen = self._seen, version
        return bool(version != before)


def _path(url: URL) -> Path:
    if url.drivername != "sqlite" or url.host or url.username or url.query:
        raise InvalidValue("a SQLite store is sqlite:///FILE, or sqlite:////FILE from the root, and nothing else")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise InvalidValue("the URL sqlite:// names no file; add one, as in sqlite:///gallery.db")
    return Path(url.database)


def _make_private_file(path: Path) -> None:
    """Create the file unless it is there. Raises InvalidValue if it is a link or no file, or others may read it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(error) from None
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(found.st_mode):
        raise InvalidValue("the file of the SQLite store is no regular file; choose another one")
    if found.st_mode & 0o077:
        raise InvalidValue("others than its owner may read or write the file of the SQLite store; chmod it to 600")


def _unusable(error: OSError) -> InvalidValue | StoreUnavailable:
    if error.errno == errno.ELOOP:
        return InvalidValue("the file of the SQLite store is a link, which is not followed; name the file itself")
    return StoreUnavailable(f"the file of the SQLite store cannot be opened: {error.strerror}")


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None},
        hide_parameters=True,
        pool_size=8,
        max_overflow=56,
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Take the lock of a writer at the start: a reader that became one could be refused. Wait up to the deadline."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(time_left_s(BUSY_TIMEOUT_S) * 1_000)}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
