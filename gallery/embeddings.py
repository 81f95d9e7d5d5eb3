"""Where embeddings lie: in rows that are never deleted, but filled with zeros when forgotten, and used again.

SQLite moves rows between its pages when others of the table are deleted, and leaves copies behind that even its
`secure_delete` misses. A row that is overwritten by one of the same length stays where it is.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from .schema import embeddings

N_CHANNELS = 128
ZEROS = bytes(4 * N_CHANNELS)


def store_embeddings(connection: Connection, contents: Sequence[bytes]) -> list[int]:
    """Write embeddings of 512 bytes; gives the slot of each."""
    free = _free_slots(connection, len(contents))
    if free:
        _overwrite(connection, free, contents)
    new = [{"embedding": content, "is_free": False} for content in contents[len(free) :]]
    if not new:
        return free
    query = insert(embeddings).returning(embeddings.c.slot, sort_by_parameter_order=True)
    return [*free, *connection.scalars(query, new)]


def wipe_embeddings(connection: Connection, slots: Select[tuple[int]]) -> None:
    """Fill slots with zeros, for others to use."""
    its_slots = update(embeddings).where(embeddings.c.slot.in_(slots))
    connection.execute(its_slots.values(embedding=ZEROS, is_free=True))


def _free_slots(connection: Connection, limit: int) -> list[int]:
    query = select(embeddings.c.slot).where(embeddings.c.is_free).limit(limit)
    return list(connection.scalars(query.with_for_update(skip_locked=True)))  # others may write to other galleries


def _overwrite(connection: Connection, slots: Sequence[int], contents: Sequence[bytes]) -> None:
    query = update(embeddings).where(embeddings.c.slot == bindparam("its_slot"))
    values = [{"its_slot": slot, "content": content} for slot, content in zip(slots, contents, strict=False)]
    connection.execute(query.values(embedding=bindparam("content"), is_free=False), values)
