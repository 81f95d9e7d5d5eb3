"""The table of proposals: pgvector's index over it finds templates that may be the nearest to a probe.

The table is derived from the templates, and those who search fill it. So it has no version and no migration, and
databases without pgvector need not have it. A proposal goes with its template. Embeddings have half the precision here,
so exact distances must decide among what is proposed.
"""

import json
from collections.abc import Sequence
from re import fullmatch

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Engine, column, exists, table, text
from sqlalchemy.exc import DBAPIError

from .errors import InvalidValue
from .reading import GalleryView
from .schema import templates

OLDEST = 0, 8  # of pgvector: the first version that goes on until enough proposals are of the gallery
REMEDY = (
    "install pgvector 0.8 or newer on the database's server, as the package postgresql-18-pgvector, let the database's "
    "owner run CREATE EXTENSION vector, or ALTER EXTENSION vector UPDATE; or search in memory"
)
LOCK = 8318  # an arbitrary number
LARGEST = float(np.finfo(np.float16).max)  # an import may have larger numbers

_proposals = table("proposals", column("number"))
_TABLE = (
    """CREATE TABLE proposals (number bigint PRIMARY KEY REFERENCES templates ON DELETE CASCADE,
    gallery_id bigint NOT NULL, model_digest text NOT NULL, embedding halfvec NOT NULL)""",
    "ALTER TABLE proposals ALTER COLUMN embedding SET STATISTICS 0",  # where values would outlive a template
)
_INSERT = text(  # in one order, so that replicas that propose the same wait for each other in turn
    "INSERT INTO proposals SELECT t.number, t.gallery_id, t.model_digest, CAST(given.embedding AS halfvec)"
    " FROM unnest(CAST(:ids AS text[]), CAST(:vectors AS text[])) AS given (id, embedding)"
    " JOIN templates t ON t.id = given.id ORDER BY t.number FOR KEY SHARE OF t ON CONFLICT DO NOTHING"
)


def prepare_proposals(engine: Engine) -> None:
    """Create the extension and the table unless they are there. Raises InvalidValue, which says what to do."""
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        _require_extension(connection)
        if not has_proposals(connection):
            for statement in _TABLE:
                connection.execute(text(statement))


def has_proposals(connection: Connection) -> bool:
    """Whether the table is there."""
    return _is_there(connection, "proposals")


def index_proposals(connection: Connection, digest: str, n_channels: int) -> None:
    """Create the index for a model unless it is there; faster once its proposals are."""
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    name = f"ix_proposals_{_checked(digest)[-16:]}"
    if not _is_there(connection, name):
        what = f"(CAST(embedding AS halfvec({n_channels}))) halfvec_l2_ops"
        connection.execute(text(f'CREATE INDEX "{name}" ON proposals USING hnsw ({what}) WHERE {_of(digest)}'))


def add_proposals(connection: Connection, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
    """Add templates that are not proposed yet; those that are forgotten by now are left out."""
    connection.execute(_INSERT, {"ids": list(ids), "vectors": [_written(each) for each in vectors]})


def is_not_proposed() -> ColumnElement[bool]:
    """The condition that a template is not in the table."""
    return ~exists().where(_proposals.c.number == templates.c.number)


def proposed(view: GalleryView, digest: str, vector: NDArray[np.float32], limit: int) -> list[int]:
    """The numbers of up to `limit` templates of a model, about the nearest to a vector: (channels,)."""
    kind = f"halfvec({len(vector)})"
    query = text(
        f"SELECT number FROM proposals WHERE {_of(digest)} AND gallery_id = :gallery"  # noqa: S608 - a checked digest
        f" ORDER BY CAST(embedding AS {kind}) <-> CAST(:probe AS {kind}) LIMIT :limit"
    )
    view.connection.execute(text(f"SET LOCAL hnsw.ef_search = {limit}"))
    view.connection.execute(text("SET LOCAL hnsw.iterative_scan = relaxed_order"))
    given = {"gallery": view.row.id, "probe": _written(vector), "limit": limit}
    return list(view.connection.scalars(query, given))


def _require_extension(connection: Connection) -> None:
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        raise InvalidValue(f"the database has no pgvector, and cannot create it (SQLSTATE {state}); {REMEDY}") from None
    found = connection.scalars(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")).one()
    if tuple(map(int, found.split(".")[:2])) < OLDEST:
        raise InvalidValue(f"the database has pgvector {found}; {REMEDY}")


def _is_there(connection: Connection, name: str) -> bool:
    return connection.scalars(text("SELECT to_regclass(:name)"), {"name": f'"{name}"'}).one() is not None


def _written(vector: NDArray[np.float32]) -> str:
    """Write a vector (channels,) as pgvector reads it, with half the precision and no number beyond its range."""
    return json.dumps(vector.clip(-LARGEST, LARGEST).astype(np.float16).tolist())


def _of(digest: str) -> str:
    """The condition on a model, as it is written: with a parameter the planner could not use its index."""
    return f"model_digest = '{_checked(digest)}'"


def _checked(digest: str) -> str:
    if not fullmatch(r"[\w:]{1,100}", digest):
        raise ValueError("a model's digest must have letters, digits and colons only")
    return digest
