"""Stores of both kinds: a SQLite file, and a database of a real PostgreSQL that is started once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_server import new_database, running_postgres
from set_clock import Clock

from gallery import Store, open_store


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of its own, which does not wait for the disk: the machine is not to fail."""
    with running_postgres() as server:
        with closing(psycopg.connect(server.get_uri(), autocommit=True)) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gallery.db"
    return new_database(request.getfixturevalue("postgres"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store of each kind with one gallery, `staff`."""
    with open_store(url) as opened:
        opened.create_gallery("staff")
        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets; it stands at noon of 29 November 2026."""
    return Clock()
