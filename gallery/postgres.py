"""What differs with PostgreSQL: several replicas tell each other of changes, and erasing has to be asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Lock
from time import monotonic
from typing import cast

import psycopg
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from embedder import time_left_s

from .errors import StoreUnavailable
from .postgres_erasure import erase

CHANNEL = "visavis_gallery"
LOCK_TIMEOUT_S = 60  # that a write waits for others to the same gallery
CLOSING_S = 0.5  # until a waiting thread sees that the store is closed


class PostgresBackend:
    """A store in a PostgreSQL database, which several replicas may share."""

    def __init__(self, url: URL) -> None:
        self.engine = create_engine(
            url,
            connect_args={"application_name": "visavis", "connect_timeout": 10},
            isolation_level="READ COMMITTED",  # a write that has waited for the lock sees what the other one wrote
            pool_pre_ping=True,
            hide_parameters=True,
            pool_size=5,
            max_overflow=10,
        )
        event.listen(self.engine, "connect", _limit_waiting)
        event.listen(self.engine, "begin", _wait_until_deadline)
        self._listener: Connection | None = None
        self._listening, self._closed = Lock(), Event()

    def options(self, *, writes: bool) -> Mapping[str, object]:
        """Options of a connection: a reader sees the database as it was at one time."""
        return {} if writes else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def announce(self, connection: Connection) -> None:
        """Notify all who listen, when the transaction is committed."""
        connection.execute(text(f"NOTIFY {CHANNEL}"))

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait for a notification from anybody, this process included."""
        with self._listening, self._forgetting_a_broken_listener():
            if self._closed.is_set():
                return False
            if self._listener is None:
                self._listener = self._listen()
                return True
            return self._is_notified(self._listener, monotonic() + timeout_s)

    def drop_traces(self) -> None:
        """Nothing: erasing locks and rewrites the tables, so it is done by a command."""

    def erase(self) -> tuple[str, ...]:
        """Rewrite the tables and the write-ahead log, as `postgres_erasure.py` says."""
        return erase(self.engine)

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        with self._listening:
            self._drop_listener()
        self.engine.dispose()

    def _listen(self) -> Connection:
        listener = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        listener.execute(text(f"LISTEN {CHANNEL}"))
        return listener

    def _is_notified(self, listener: Connection, until: float) -> bool:
        driver = cast("psycopg.Connection[tuple[object, ...]]", listener.connection.driver_connection)
        while not self._closed.is_set() and (left := until - monotonic()) > 0:
            if any(True for _ in driver.notifies(timeout=min(left, CLOSING_S), stop_after=1)):
                return True
        return False

    @contextmanager
    def _forgetting_a_broken_listener(self) -> Iterator[None]:
        """Connect anew at the next call, which then tells of a change, because one may have been missed."""
        try:
            yield
        except psycopg.Error as error:
            self._drop_listener()
            raise StoreUnavailable(f"the store cannot be used: {type(error).__name__}; is the server up?") from None

    def _drop_listener(self) -> None:
        if self._listener is not None:
            self._listener.invalidate()
            self._listener.close()
            self._listener = None


def _limit_waiting(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
    cursor.close()
    connection.commit()


def _wait_until_deadline(connection: Connection) -> None:
    """Let the transaction wait for locks no longer than the work that it is for may take."""
    if (left_s := time_left_s(LOCK_TIMEOUT_S)) < LOCK_TIMEOUT_S:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{max(1, round(left_s * 1_000))}ms'")  # 0 = for ever
