"""What one transaction reads of a gallery: rows of the tables -> people, templates and changes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from embedder import MEASURES, Quality

from .errors import NoSuchGallery, NoSuchPerson
from .schema import changes, embeddings, galleries, people, templates
from .types import Changes, Consent, GalleryFacts, Person, PersonFacts, TemplateBlock, TemplateFacts
from .values import check_name, is_storable

N_BYTES = 4  # of a channel, float32
N_VERSIONS_KEPT = 10_000  # a replica that has missed more writes to a gallery reads it anew

AnyRow = Row[Any]

_FACTS = [each for each in templates.c if each.name not in ("slot", "gallery_id")]
_BLOCK = [
    *(templates.c.number, templates.c.id, embeddings.c.embedding),
    *(people.c.person, people.c.forget_at, people.c.id.label("person_number")),
    *(templates.c[measure] for measure in MEASURES),
]


def is_living(now: datetime) -> ColumnElement[bool]:
    """The condition that the time to forget a person has not come."""
    return or_(people.c.forget_at.is_(None), people.c.forget_at > now)


def without_index(column: ColumnElement[int]) -> ColumnElement[int]:
    """The column, so that SQLite looks rows up by another condition.

    It knows nothing of how many rows there are, and would rather walk a whole gallery than look up five ids.
    """
    return column + 0


def gallery_names(connection: Connection) -> list[str]:
    """All galleries, in the order of their names."""
    return list(connection.scalars(select(galleries.c.name).order_by(galleries.c.name)))


def gallery_row(connection: Connection, name: str, *, locks: bool = False) -> AnyRow:
    """The gallery's row. Raises NoSuchGallery."""
    query = select(galleries).where(galleries.c.name == name)
    row = connection.execute(query.with_for_update() if locks else query).one_or_none() if is_storable(name) else None
    if row is None:
        raise NoSuchGallery(f"there is no gallery named {name!r}; create it first")
    return row


@dataclass(frozen=True, slots=True)
class GalleryView:
    """One gallery, as a transaction sees it at a time. People whose time to be forgotten has come are not in it."""

    connection: Connection
    row: AnyRow
    now: datetime

    def facts(self) -> GalleryFacts:
        """The gallery, and how many people and templates it holds."""
        counted = select(func.count()).where(people.c.gallery_id == self.row.id, is_living(self.now))
        by_digest = (
            self._living_templates(templates.c.model_digest, func.count())
            .group_by(templates.c.model_digest)
            .order_by(templates.c.model_digest)
        )
        return GalleryFacts(
            name=self.row.name,
            created_at=self.row.created_at,
            version=self.row.version,
            n_people=self.connection.scalars(counted).one(),
            n_templates={row[0]: row[1] for row in self.connection.execute(by_digest)},
        )

    def person_row(self, person: str) -> AnyRow | None:
        """The person's row, also if the time to forget the person has come."""
        query = select(people).where(people.c.gallery_id == self.row.id, people.c.person == person)
        return self.connection.execute(query).one_or_none() if is_storable(person) else None

    def has_expired(self, row: AnyRow) -> bool:
        """Whether the time to forget a person has come."""
        return row.forget_at is not None and row.forget_at <= self.now

    def living_row(self, person: str) -> AnyRow:
        """The person's row. Raises NoSuchPerson."""
        row = self.person_row(person)
        if row is None or self.has_expired(row):
            raise NoSuchPerson(f"gallery {self.row.name!r} has no person {person!r}; enrol the person first")
        return row

    def person(self, person: str) -> Person:
        """One person with all templates. Raises NoSuchPerson."""
        return self._with_templates([self.living_row(person)])[0]

    def people(self, after: str | None, limit: int) -> list[Person]:
        """Up to `limit` people in the order of their ids, from the one after `after` on."""
        query = select(people).where(people.c.gallery_id == self.row.id, is_living(self.now))
        if after is not None:
            check_name(after, "the id to go on after")
            query = query.where(people.c.person > after)
        return self._with_templates(self.connection.execute(query.order_by(people.c.person).limit(limit)).all())

    def block(self, digest: str, after: int, limit: int, *which: ColumnElement[bool]) -> tuple[TemplateBlock, int]:
        """Up to `limit` templates from number `after` on, and the number of the last one; all or `which`."""
        query = self._with_embeddings(digest).where(templates.c.number > after, *which)
        rows = self.connection.execute(query.order_by(templates.c.number).limit(limit)).all()
        return _block(rows), rows[-1].number if rows else after

    def templates_of(self, person: str, digest: str) -> TemplateBlock:
        """A person's templates with that model digest. Raises NoSuchPerson."""
        query = self._with_embeddings(digest, templates.c.person_id == self.living_row(person).id)
        return _block(self.connection.execute(query.order_by(templates.c.number)).all())

    def numbered(self, digest: str, numbers: Sequence[int]) -> TemplateBlock:
        """Those of these templates that have the model digest and are not forgotten."""
        query = self._with_embeddings(digest, templates.c.number.in_(numbers))
        return _block(self.connection.execute(query.order_by(templates.c.number)).all())

    def counts_of(self, digest: str) -> tuple[int, int]:
        """The number of templates with that model digest, and of the people who have one."""
        query = self._living_templates(func.count(), func.count(templates.c.person_id.distinct()))
        row = self.connection.execute(query.where(templates.c.model_digest == digest)).one()
        return row[0], row[1]

    def sizes_of(self, digest: str) -> set[int]:
        """The number of channels of the templates with that model digest; empty if there are none."""
        of_slot = templates.c.slot == embeddings.c.slot
        query = select(func.length(embeddings.c.embedding)).join(templates, of_slot)
        one = query.where(templates.c.gallery_id == self.row.id, templates.c.model_digest == digest).limit(1)
        return {n_bytes // N_BYTES for n_bytes in self.connection.scalars(one)}

    def people_of(self, template_ids: Sequence[str]) -> dict[str, str]:
        """Whose each template is; without those that are forgotten."""
        query = self._living_templates(templates.c.id, people.c.person, few=templates.c.id.in_(template_ids))
        return {row.id: row.person for row in self.connection.execute(query)}

    def changes(self, since: int, digest: str) -> Changes:
        """What happened after version `since`, to templates of a digest."""
        if since > self.row.version or since < max(self.row.first_version, self.row.version - N_VERSIONS_KEPT):
            return Changes(self.row.version, is_complete=False, removed=frozenset(), added=_block([]))
        if since == self.row.version:
            return Changes(since, is_complete=True, removed=frozenset(), added=_block([]))
        later = (changes.c.gallery_id == self.row.id, changes.c.sequence > since)
        removed = select(changes.c.template_id).where(*later, changes.c.kind != "added")
        added = select(changes.c.template_id).where(*later, changes.c.kind != "removed")
        query = self._with_embeddings(digest, templates.c.id.in_(added))
        rows = self.connection.execute(query.order_by(templates.c.number)).all()
        gone = frozenset(self.connection.scalars(removed))
        return Changes(self.row.version, is_complete=True, removed=gone, added=_block(rows))

    def _with_embeddings(self, digest: str, few: ColumnElement[bool] | None = None) -> Select[Any]:
        query = self._living_templates(*_BLOCK, few=few).where(templates.c.model_digest == digest)
        return query.join(embeddings, templates.c.slot == embeddings.c.slot)

    def _living_templates(self, *columns: ColumnElement[Any], few: ColumnElement[bool] | None = None) -> Select[Any]:
        """All templates, or the `few` that have a condition, which the database then looks up by it."""
        query = select(*columns).select_from(templates.join(people, templates.c.person_id == people.c.id))
        if few is None:
            query = query.where(templates.c.gallery_id == self.row.id)
        else:
            query = query.where(few, without_index(templates.c.gallery_id) == self.row.id)
        return query.where(is_living(self.now))

    def _with_templates(self, rows: Sequence[AnyRow]) -> list[Person]:
        ids = [row.id for row in rows]
        query = select(*_FACTS).where(templates.c.person_id.in_(ids)).order_by(templates.c.number)
        found = defaultdict[int, list[TemplateFacts]](list)
        for row in self.connection.execute(query):
            found[row.person_id].append(_template(row))
        return [_person(row, tuple(found[row.id])) for row in rows]


def _person(row: AnyRow, its_templates: tuple[TemplateFacts, ...]) -> Person:
    consent = None
    if row.consent_reference is not None:
        consent = Consent(row.consent_reference, row.consent_given_on)
    facts = PersonFacts(row.note, consent, row.forget_at)
    return Person(row.person, facts, its_templates, row.created_at, row.version)


def _template(row: AnyRow) -> TemplateFacts:
    quality = Quality(**{measure: getattr(row, measure) for measure in MEASURES})
    return TemplateFacts(row.id, row.model_digest, quality, row.enrolled_at, row.request_id)


def _block(rows: Sequence[AnyRow]) -> TemplateBlock:
    n_channels = len(rows[0].embedding) // N_BYTES if rows else 0
    vectors = np.frombuffer(b"".join(row.embedding for row in rows), "<f4").reshape(len(rows), n_channels)
    n_before = len(_BLOCK) - len(MEASURES)
    qualities = np.array([row[n_before:] for row in rows], np.float64).reshape(len(rows), len(MEASURES))
    return TemplateBlock(
        ids=tuple(row.id for row in rows),
        persons=tuple(row.person for row in rows),
        person_numbers=np.array([row.person_number for row in rows], np.int64),
        vectors=vectors.astype(np.float32, copy=False),
        qualities=qualities,
        forget_at=tuple(row.forget_at for row in rows),
    )
