"""Where embeddings lie: in rows that are never deleted, but filled with zeros when forgotten, and used again.

SQLite moves rows between its pages when others of the table are deleted, and leaves copies behind that even its
`secure_delete` misses. A row that is overwritten by one of the same length stays where it is.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, insert, literal_column, select, update

from .schema import embeddings

_n_bytes = func.length(embeddings.c.embedding)
# As the partial index says it: SQLite would not use it for `is_free = 1`, which the column itself becomes.
_is_free: ColumnElement[bool] = literal_column(f"{embeddings.name}.is_free")


def store_embeddings(connection: Connection, contents: Sequence[bytes]) -> list[int]:
    """Write embeddings, float32; gives the slot of each."""
    slots = dict[int, int]()
    for n_bytes in {len(each) for each in contents}:
        places = [place for place, each in enumerate(contents) if len(each) == n_bytes]
        slots |= zip(places, _stored(connection, [contents[place] for place in places]), strict=True)
    return [slots[place] for place in range(len(contents))]


def _stored(connection: Connection, contents: Sequence[bytes]) -> list[int]:
    """Write embeddings of one size, first to free slots of that size."""
    free = _free_slots(connection, len(contents), len(contents[0]))
    if free:
        _overwrite(connection, free, contents)
    new = [{"embedding": content, "is_free": False} for content in contents[len(free) :]]
    if not new:
        return free
    query = insert(embeddings).returning(embeddings.c.slot, sort_by_parameter_order=True)
    return [*free, *connection.scalars(query, new)]


def wipe_embeddings(connection: Connection, slots: Select[tuple[int]]) -> None:
    """Fill slots with zeros, for others to use."""
    theirs = embeddings.c.slot.in_(slots)
    for n_bytes in connection.scalars(select(_n_bytes).where(theirs).distinct()).all():
        of_that_size = update(embeddings).where(theirs, _n_bytes == n_bytes)
        connection.execute(of_that_size.values(embedding=bytes(n_bytes), is_free=True))


def _free_slots(connection: Connection, limit: int, n_bytes: int) -> list[int]:
    """Slots for embeddings of that size, up to `limit`."""
    query = select(embeddings.c.slot).where(_is_free, _n_bytes == n_bytes).limit(limit)
    return list(connection.scalars(query.with_for_update(skip_locked=True)))  # others may write to other galleries


def _overwrite(connection: Connection, slots: Sequence[int], contents: Sequence[bytes]) -> None:
    query = update(embeddings).where(embeddings.c.slot == bindparam("its_slot"))
    values = [{"its_slot": slot, "content": content} for slot, content in zip(slots, contents, strict=False)]
    connection.execute(query.values(embedding=bindparam("content"), is_free=False), values)
