"""Erase what PostgreSQL keeps of deleted rows: in the files of the tables, and in the write-ahead log.

VACUUM FULL writes the living rows into new files, and their indexes anew. The log is closed at its end and
checkpointed, which removes its old segments or renames them for later use, with what they contain; those are then used
up, which fills them with zeros. Backups, archives of the log and standby servers are not reached.
"""

from time import monotonic, sleep

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from .proposals import has_proposals
from .schema import metadata

SNAPSHOTS_S = 30.0  # to wait until no transaction is open that may still see deleted rows
MAX_SEGMENTS = 1_024  # to use up; 16 GiB of the usual size
LOG_REMEDY = (
    "let the database's user be a member of pg_checkpoint and pg_monitor and execute pg_switch_wal(), "
    "or erase as a superuser"
)

_OLDER_TRANSACTIONS = text(
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    " AND (age(backend_xmin) > age(CAST(:xid AS xid)) OR age(backend_xid) > age(CAST(:xid AS xid))))"
    " + (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())"
    " + (SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL)"
)
_SEGMENT = "pg_walfile_name(pg_current_wal_insert_lsn())"


def erase(engine: Engine) -> tuple[str, ...]:
    """Erase deleted rows; gives what could not be erased, and what to do, as sentences."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        return (*_rewrite_tables(connection), *_rewrite_log(connection))


def _rewrite_tables(connection: Connection) -> tuple[str, ...]:
    is_free = _wait_for_older_transactions(connection)
    tables = [table.name for table in metadata.sorted_tables]
    for name in [*tables, "proposals"] if has_proposals(connection) else tables:
        connection.execute(text(f"VACUUM (FULL) {name}"))
    if is_free:
        return ()
    return ("transactions that began before may still see forgotten rows; end them, then erase again",)


def _wait_for_older_transactions(connection: Connection) -> bool:
    """Whether no transaction is open any more that may see what is deleted by now."""
    xid = connection.scalars(text("SELECT CAST(pg_current_xact_id() AS xid)")).one()
    until = monotonic() + SNAPSHOTS_S
    while connection.scalars(_OLDER_TRANSACTIONS, {"xid": str(xid)}).one():
        if monotonic() > until:
            return False
        sleep(0.1)
    return True


def _rewrite_log(connection: Connection) -> tuple[str, ...]:
    try:
        first = _switch_segment(connection)
        connection.execute(text("CHECKPOINT"))
        _use_up(connection, _segments(connection)[-1])
        connection.execute(text("CHECKPOINT"))
        if _segments(connection)[0] < first:
            return ("a replication slot or wal_keep_size keeps old segments of the log; remove it, then erase again",)
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        return (f"the write-ahead log is not rewritten (SQLSTATE {state}); {LOG_REMEDY}",)
    return ()


def _use_up(connection: Connection, last: str) -> None:
    """Go on to the segment after `last`. Closing a segment fills it with zeros."""
    for _ in range(MAX_SEGMENTS):
        if _switch_segment(connection) > last:
            return


def _switch_segment(connection: Connection) -> str:
    """Close the segment in use, and give the name of the next one."""
    connection.execute(text("SELECT pg_logical_emit_message(false, 'visavis', '')"))  # an empty one is not closed
    connection.execute(text("SELECT pg_switch_wal()"))
    connection.execute(text("SELECT pg_logical_emit_message(false, 'visavis', '')"))
    return str(connection.scalars(text(f"SELECT {_SEGMENT}")).one())


def _segments(connection: Connection) -> list[str]:
    """The names of all segments, in their order, those for later use included."""
    names = connection.scalars(text("SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY name"))
    return list(names)
