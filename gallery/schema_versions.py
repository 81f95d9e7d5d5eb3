"""The version of a store's schema: created in an empty database, else refused unless it is the code's, or upgraded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

from .errors import SchemaMismatch
from .schema import SCHEMA_REVISION, metadata

LOCK = 8317  # an arbitrary number
VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class SchemaUpgrade:
    """What an upgrade of the schema did."""

    before: str | None  # revision; None = the database was empty
    after: str


def require_schema(engine: Engine) -> None:
    """Create the schema in an empty database. Raises SchemaMismatch if there is one of another version."""
    with engine.connect() as connection, connection.begin():
        if _revision(connection) == SCHEMA_REVISION:
            return
    with _locked(engine) as connection:
        found = _revision(connection)
        if found is None:
            _upgrade(connection)
        else:
            _require(found)


def upgrade_schema(engine: Engine) -> SchemaUpgrade:
    """Bring the schema to the code's version. Raises SchemaMismatch if it is newer."""
    with _locked(engine) as connection:
        found = _revision(connection)
        if found is not None and found > SCHEMA_REVISION:
            _require(found)
        if found != SCHEMA_REVISION:
            _upgrade(connection)
        return SchemaUpgrade(found, SCHEMA_REVISION)


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """A transaction that excludes others that would change the schema."""
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            yield connection


def _revision(connection: Connection) -> str | None:
    """The revision of the schema; None in an empty database. Raises SchemaMismatch if it is not a store's."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if VERSION_TABLE not in tables or "templates" not in tables:
        raise SchemaMismatch("the database has tables, but is no store of visavis; choose another one")
    revisions: list[str] = list(connection.scalars(select(column("version_num")).select_from(table(VERSION_TABLE))))
    if len(revisions) != 1:
        raise SchemaMismatch("the store does not tell its schema, so it is damaged; restore a backup")
    return revisions[0]


def _require(found: str) -> None:
    if found > SCHEMA_REVISION:
        raise SchemaMismatch(
            f"the store has schema {found}, this visavis knows {SCHEMA_REVISION}; install the newer visavis again"
        )
    if found < SCHEMA_REVISION:
        raise SchemaMismatch(
            f"the store has schema {found}, this visavis needs {SCHEMA_REVISION}; make a backup, then run "
            "`visavis gallery upgrade`"
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - most starts need no migration, so they are spared its import
    from alembic.config import Config  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", "gallery:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, metadata=metadata)
    command.upgrade(config, "head")
