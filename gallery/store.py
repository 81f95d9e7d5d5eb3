"""People and templates in a database: SQLite in one file, or PostgreSQL for several replicas.

Each write is one transaction, which locks the gallery's row first, so versions and changes are in the order of commits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from .database_errors import raising_store_errors
from .errors import AlreadyExists, NoSuchGallery, StoreUnavailable
from .proposals import add_proposals, index_proposals, is_not_proposed, proposed
from .reading import GalleryView, gallery_names, gallery_row
from .schema import galleries, versions
from .types import (
    Changes,
    GalleryFacts,
    GallerySearch,
    IdempotencyKey,
    NewTemplate,
    Person,
    PersonFacts,
    Receipt,
    TemplateBlock,
)
from .values import check_facts, check_name, check_templates
from .writing import GalleryWrite, remembered_answer, require_version

BLOCK_SIZE = 10_000  # templates in a block, of some 10 MB with 128 channels


class Backend(Protocol):
    """What differs between the databases."""

    engine: Engine

    def options(self, *, writes: bool) -> Mapping[str, object]:
        """Execution options of a connection for reading or writing."""
        ...

    def announce(self, connection: Connection) -> None:
        """Tell others, once the transaction is committed, that a gallery has changed."""

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait for a change by anybody; the first call returns at once."""
        ...

    def drop_traces(self) -> None:
        """Do what keeps forgotten rows out of the files, if that costs little."""

    def erase(self) -> tuple[str, ...]:
        """Remove what is left of forgotten rows in the files; gives what could not be removed, and what to do."""
        ...

    def close(self) -> None:
        """Close all connections."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Store:
    """Galleries in a database; `open_store` opens one. Thread-safe; several processes may use the same store at once.

    All methods block, and raise StoreUnavailable if the database cannot be used. Names and ids are case-sensitive.
    People whose time to be forgotten has come are found by no method.
    """

    def __init__(self, backend: Backend, now: Callable[[], datetime], search: GallerySearch = "memory") -> None:
        self._backend, self._now, self.search = backend, now, search

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._backend.close()

    def create_gallery(self, name: str) -> GalleryFacts:
        """Create an empty gallery. Raises AlreadyExists."""
        check_name(name, "the gallery's name")
        now = self._now()
        with self._transaction(writes=True) as connection:
            version = connection.scalars(select(versions.c.highest_forgotten).with_for_update()).one() + 1
            values = {"name": name, "created_at": now, "version": version, "first_version": version}
            try:
                connection.execute(insert(galleries), values)
            except IntegrityError:
                raise AlreadyExists(f"there is a gallery named {name!r} already") from None
            self._backend.announce(connection)
        return GalleryFacts(name, now, version, n_people=0, n_templates={})

    def gallery(self, name: str) -> GalleryFacts:
        """Tell how much a gallery holds. Raises NoSuchGallery."""
        with self._view(name) as view:
            return view.facts()

    def galleries(self) -> list[GalleryFacts]:
        """All galleries, in the order of their names."""
        with self._transaction() as connection:
            rows = [gallery_row(connection, name) for name in gallery_names(connection)]
            return [GalleryView(connection, row, self._now()).facts() for row in rows]

    def forget_gallery(self, name: str, *, if_version: int | None = None) -> Receipt:
        """Forget a gallery with all people. Raises NoSuchGallery or VersionConflict."""
        return self._forget(name, lambda write: write.forget_gallery(if_version))

    def put_person(
        self,
        gallery: str,
        person: str,
        facts: PersonFacts,
        *,
        if_version: int | None = None,
        must_be_new: bool = False,
    ) -> Person:
        """Create a person or replace all facts. Raises NoSuchPerson if a version is stated, else see the arguments."""
        check_name(person, "the person's id")
        with self._write(gallery) as write:
            check_facts(facts, write.now)
            write.put_person(person, facts, if_version, must_be_new=must_be_new)
            write.finish()
            return write.person(person)

    def person(self, gallery: str, person: str) -> Person:
        """One person with all templates. Raises NoSuchPerson."""
        with self._view(gallery) as view:
            return view.person(person)

    def people(self, gallery: str, *, after: str | None = None, limit: int) -> list[Person]:
        """Up to `limit` people in the order of their ids (by code points), from the one after `after` on."""
        with self._view(gallery) as view:
            return view.people(after, limit)

    def add_templates(  # noqa: PLR0913 - conditions and what else is optional by keyword
        self,
        gallery: str,
        person: str,
        new: Sequence[NewTemplate],
        *,
        facts: PersonFacts | None = None,
        if_version: int | None = None,
        if_gallery_version: int | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Person:
        """Add all templates or none to a person, who is created if missing. `facts` None = leave them as they are.

        Raises VersionConflict if the person or the gallery has another version than the one stated.

        If the idempotency key was used by the same request, nothing is added, and the person is given as it is now;
        `remembered_answer` tells what was added then.
        """
        check_name(person, "the person's id")
        check_templates(new)
        with self._write(gallery) as write:
            if idempotency and remembered_answer(write, idempotency) is not None:
                return write.person(person)
            require_version(write.row.version, if_gallery_version, f"gallery {gallery!r}")
            if facts is not None:
                check_facts(facts, write.now)
            write.add_templates(person, new, facts, if_version)
            write.finish()
            added = write.person(person)
            if idempotency:
                write.remember(idempotency, added)
            return added

    def remembered_answer(self, gallery: str, key: IdempotencyKey) -> str | None:
        """The JSON that answered the request with that key in the last 24 hours; None if there was none.

        Raises IdempotencyConflict if the key was used for another request, or what was enrolled is forgotten since.
        """
        with self._view(gallery) as view:
            return remembered_answer(view, key)

    def forget_template(self, gallery: str, person: str, template_id: str, *, if_version: int | None = None) -> Receipt:
        """Forget one template. `if_version` is the person's. Raises NoSuchTemplate, NoSuchPerson or VersionConflict."""
        return self._forget(gallery, lambda write: write.forget_template(person, template_id, if_version))

    def forget_person(self, gallery: str, person: str, *, if_version: int | None = None) -> Receipt:
        """Forget a person with all templates. Raises NoSuchPerson or VersionConflict."""
        return self._forget(gallery, lambda write: write.forget_person(person, if_version))

    def forget_expired(self, now: datetime) -> list[Receipt]:
        """Forget the people whose time to be forgotten has come; a receipt for each gallery that had any."""
        with self._transaction() as connection:
            names = gallery_names(connection)
        receipts = [self._forget_expired(name, now) for name in names]
        return [receipt for receipt in receipts if receipt]

    def templates(self, gallery: str, digest: str) -> Iterator[TemplateBlock]:
        """All templates with that model digest, the oldest first.

        Each block is read in a transaction of its own. Take the gallery's version before the first one, and then ask
        for the changes since.
        """
        last = 0
        while True:
            with self._view(gallery) as view:
                block, last = view.block(digest, last, BLOCK_SIZE)
            if not block:
                return
            yield block

    def unproposed(self, gallery: str, digest: str, n_channels: int) -> Iterator[TemplateBlock]:
        """All templates that are not among the proposals of `search="pgvector"`; `propose` each block.

        After the last one the index is created if it is not there.
        """
        last, block = 0, None
        while block is None or len(block):
            if block is not None:
                yield block
            with self._view(gallery) as view:
                block, last = view.block(digest, last, BLOCK_SIZE, is_not_proposed())
        with self._transaction(writes=True) as connection:
            index_proposals(connection, digest, n_channels)

    def propose(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Add templates to the proposals."""
        with self._transaction(writes=True) as connection:
            add_proposals(connection, ids, vectors)

    def proposed(self, gallery: str, digest: str, vector: NDArray[np.float32], limit: int) -> TemplateBlock:
        """Up to `limit` templates of which the index of proposals says that they are the nearest to a vector."""
        with self._view(gallery) as view:
            return view.numbered(digest, proposed(view, digest, vector, limit))

    def counts_of(self, gallery: str, digest: str) -> tuple[int, int]:
        """The number of templates with that model digest, and of the people who have one."""
        with self._view(gallery) as view:
            return view.counts_of(digest)

    def templates_of(self, gallery: str, person: str, digest: str) -> TemplateBlock:
        """A person's templates with that model digest, the oldest first. Raises NoSuchPerson."""
        with self._view(gallery) as view:
            return view.templates_of(person, digest)

    def people_of(self, gallery: str, template_ids: Sequence[str]) -> dict[str, str]:
        """Whose each template is: id -> the caller's id of the person; without templates that are forgotten."""
        with self._view(gallery) as view:
            return view.people_of(template_ids)

    def changes(self, gallery: str, digest: str, *, since: int) -> Changes:
        """What happened to the templates with that digest after version `since` of the gallery."""
        with self._view(gallery) as view:
            return view.changes(since, digest)

    def wait_for_change(self, timeout_s: float) -> bool:
        """Wait until somebody has written to the store; False = nobody has. The first call returns True at once."""
        with raising_store_errors():
            return self._backend.wait_for_change(timeout_s)

    def erase(self) -> tuple[str, ...]:
        """Remove what is left of forgotten templates in the files of the store.

        Gives what could not be removed and what to do about it, as sentences; none = no byte of them is left.
        """
        with raising_store_errors():
            return self._backend.erase()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        with raising_store_errors(), self._backend.engine.connect() as connection:
            connection.execution_options(**self._backend.options(writes=writes))
            with connection.begin():
                yield connection

    @contextmanager
    def _view(self, gallery: str) -> Iterator[GalleryView]:
        with self._transaction() as connection:
            yield GalleryView(connection, gallery_row(connection, gallery), self._now())

    @contextmanager
    def _write(self, gallery: str, now: datetime | None = None) -> Iterator[GalleryWrite]:
        with self._transaction(writes=True) as connection:
            row = gallery_row(connection, gallery, locks=True)
            yield GalleryWrite(connection, row, now or self._now())
            self._backend.announce(connection)

    def _forget_expired(self, gallery: str, now: datetime) -> Receipt | None:
        try:
            with self._write(gallery, now) as write:
                receipt = write.forget_expired()
                if receipt:
                    write.finish()
        except NoSuchGallery:  # forgotten since
            return None
        self._drop_traces()
        return receipt

    def _drop_traces(self) -> None:
        """What is forgotten stays so if this fails: the next forgetting, or opening, does it again."""
        with suppress(StoreUnavailable), raising_store_errors():
            self._backend.drop_traces()

    def _forget(self, gallery: str, forget: Callable[[GalleryWrite], Receipt]) -> Receipt:
        with self._write(gallery) as write:
            receipt = forget(write)
            write.finish()
        self._drop_traces()
        return receipt
