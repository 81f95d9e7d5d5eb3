"""What one transaction writes to a gallery, whose row it has locked: people, templates, and the record of changes."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update

from embedder import MEASURES

from .embeddings import store_embeddings, wipe_embeddings
from .errors import AlreadyExists, IdempotencyConflict, InvalidValue, NoSuchTemplate, VersionConflict
from .reading import N_VERSIONS_KEPT, AnyRow, GalleryView, without_index
from .schema import changes, galleries, idempotency, people, templates, versions
from .types import ForgottenKind, IdempotencyKey, NewTemplate, Person, PersonFacts, Receipt
from .values import is_storable

ANSWERS_KEPT = timedelta(hours=24)
N_VERSIONS_BETWEEN = 100  # of a gallery, between two looks for answers that are too old, which walk all answers

ChangeKind = Literal["added", "removed", "altered"]


def require_version(found: int, wanted: int | None, what: str) -> None:
    """Raise VersionConflict if a conditional write names another version."""
    if wanted is not None and wanted != found:
        raise VersionConflict(f"{what} has version {found}, not {wanted}; read it again, and decide by what it is now")


@dataclass(frozen=True, slots=True)
class GalleryWrite(GalleryView):
    """One gallery in a transaction that has locked its row, so that writes come one after the other."""

    @property
    def version(self) -> int:
        """The version of the gallery after this write."""
        return int(self.row.version) + 1

    def finish(self) -> None:
        """Give the gallery its new version; drop the record of changes that nobody can ask for any more."""
        of_gallery = galleries.c.id == self.row.id
        self.connection.execute(update(galleries).where(of_gallery).values(version=self.version))
        too_old = changes.c.sequence <= self.version - N_VERSIONS_KEPT
        self.connection.execute(delete(changes).where(changes.c.gallery_id == self.row.id, too_old))

    def put_person(self, person: str, facts: PersonFacts, if_version: int | None, *, must_be_new: bool) -> None:
        """Create a person or replace the facts."""
        row = self._row_or_none(person, if_version)
        if row is None:
            self._new_person(person, facts)
            return
        if must_be_new:
            raise AlreadyExists(f"gallery {self.row.name!r} already has a person {person!r}")
        self._set(row, **_columns(facts))
        if row.forget_at != facts.forget_at:
            self._record("altered", self._template_ids(row))

    def add_templates(
        self, person: str, new: Sequence[NewTemplate], facts: PersonFacts | None, if_version: int | None
    ) -> None:
        """Add templates to a person, who is created if missing."""
        self._require_size_of_their_model(new)
        row = self._row_or_none(person, if_version)
        if row is None or facts is not None:
            self.put_person(person, facts or PersonFacts(), if_version, must_be_new=False)
            row = self.living_row(person)
        self._set(row)
        slots = store_embeddings(self.connection, [each.vector.astype("<f4").tobytes() for each in new])
        values = [self._template_values(row, slot, each) for slot, each in zip(slots, new, strict=True)]
        self.connection.execute(insert(templates), values)
        self._record("added", [str(each["id"]) for each in values])

    def forget_template(self, person: str, template_id: str, if_version: int | None) -> Receipt:
        """Delete one template of a person."""
        row = self.living_row(person)
        require_version(row.version, if_version, f"person {person!r}")
        it = and_(templates.c.person_id == row.id, templates.c.id == template_id)
        if not is_storable(template_id) or not self._delete_templates(it):
            raise NoSuchTemplate(f"person {person!r} has no template {template_id!r}; read the person for the ids")
        self._forget_answers(row)
        self._set(row)
        self._record("removed", [template_id])
        return self.receipt("template", 0, 1)

    def forget_person(self, person: str, if_version: int | None) -> Receipt:
        """Delete a person and all templates."""
        row = self.living_row(person)
        require_version(row.version, if_version, f"person {person!r}")
        return self.receipt("person", 1, self._delete(row))

    def forget_expired(self) -> Receipt | None:
        """Delete the people whose time to be forgotten has come; None if there is none."""
        query = select(people).where(without_index(people.c.gallery_id) == self.row.id, people.c.forget_at <= self.now)
        expired = self.connection.execute(query).all()
        n_templates = sum(self._delete(row) for row in expired)
        return self.receipt("expired", len(expired), n_templates) if expired else None

    def forget_gallery(self, if_version: int | None) -> Receipt:
        """Delete the gallery and all that is in it."""
        require_version(self.row.version, if_version, f"gallery {self.row.name!r}")
        n_people = self.connection.scalars(select(func.count()).where(people.c.gallery_id == self.row.id)).one()
        self._reserve_version()
        n_templates = self._delete_templates(templates.c.gallery_id == self.row.id)
        self.connection.execute(delete(galleries).where(galleries.c.id == self.row.id))  # and with it the other rows
        return self.receipt("gallery", n_people, n_templates)

    def receipt(self, kind: ForgottenKind, n_people: int, n_templates: int) -> Receipt:
        """What was forgotten in this gallery, now."""
        return Receipt(kind, self.row.name, self.now, n_people, n_templates)

    def remember(self, key: IdempotencyKey, person: Person) -> None:
        """Remember the answer to a request; forget an old one with that key, and from time to time all old ones."""
        old = [idempotency.c.gallery_id == self.row.id, idempotency.c.created_at <= self.now - ANSWERS_KEPT]
        if self.version % N_VERSIONS_BETWEEN:
            old.append(idempotency.c.key_hash == _hash(key.key.encode()))
        self.connection.execute(delete(idempotency).where(*old))
        row = self.living_row(person.id)
        values = {
            "gallery_id": self.row.id,
            "key_hash": _hash(key.key.encode()),
            "request_hash": _hash(key.request),
            "person_id": row.id,
            "answer": key.answer(person),
            "created_at": self.now,
        }
        self.connection.execute(insert(idempotency), values)

    def _reserve_version(self) -> None:
        """Let no later gallery have versions of this one."""
        is_higher = versions.c.highest_forgotten < self.version
        self.connection.execute(update(versions).where(is_higher).values(highest_forgotten=self.version))

    def _row_or_none(self, person: str, if_version: int | None) -> AnyRow | None:
        """The person's row; one whose time has come is deleted first, as if the caller had come later."""
        row = self.person_row(person)
        if row is not None and self.has_expired(row):
            self._delete(row)
            row = None
        if if_version is not None:
            require_version(self.living_row(person).version, if_version, f"person {person!r}")
        return row

    def _new_person(self, person: str, facts: PersonFacts) -> None:
        values = {"gallery_id": self.row.id, "person": person, "created_at": self.now, "version": self.version}
        self.connection.execute(insert(people), values | _columns(facts))

    def _set(self, row: AnyRow, **columns: object) -> None:
        self.connection.execute(update(people).where(people.c.id == row.id).values(version=self.version, **columns))

    def _delete(self, row: AnyRow) -> int:
        """Delete a person; gives the number of templates."""
        ids = self._template_ids(row)
        self._record("removed", ids)
        self._forget_answers(row)
        self._delete_templates(templates.c.person_id == row.id)
        self.connection.execute(delete(people).where(people.c.id == row.id))
        return len(ids)

    def _delete_templates(self, which: ColumnElement[bool]) -> int:
        wipe_embeddings(self.connection, select(templates.c.slot).where(which))
        return self.connection.execute(delete(templates).where(which)).rowcount

    def _forget_answers(self, row: AnyRow) -> None:
        """Answers name what is forgotten. Their keys stay, so that a late repetition does not enrol it again."""
        self.connection.execute(update(idempotency).where(idempotency.c.person_id == row.id).values(answer=None))

    def _require_size_of_their_model(self, new: Sequence[NewTemplate]) -> None:
        """Raise InvalidValue if templates of a model have embeddings of different sizes, here or in the gallery."""
        for digest in {each.model_digest for each in new}:
            sizes = {each.vector.size for each in new if each.model_digest == digest} | self.sizes_of(digest)
            if len(sizes) > 1:
                numbers = " and ".join(map(str, sorted(sizes)))
                raise InvalidValue(
                    f"templates of the model {digest[:19]} with {numbers} numbers cannot be of one model; "
                    "enrol the photos again"
                )

    def _template_ids(self, row: AnyRow) -> list[str]:
        return list(self.connection.scalars(select(templates.c.id).where(templates.c.person_id == row.id)))

    def _record(self, kind: ChangeKind, ids: Sequence[str]) -> None:
        of_write = {"gallery_id": self.row.id, "sequence": self.version, "kind": kind}
        if ids:
            self.connection.execute(insert(changes), [of_write | {"template_id": each} for each in ids])

    def _template_values(self, row: AnyRow, slot: int, new: NewTemplate) -> dict[str, object]:
        return {
            "id": uuid4().hex,
            "gallery_id": self.row.id,
            "person_id": row.id,
            "model_digest": new.model_digest,
            "slot": slot,
            "enrolled_at": new.enrolled_at or self.now,
            "request_id": new.request_id,
        } | dict(zip(MEASURES, astuple(new.quality), strict=True))


def remembered_answer(view: GalleryView, key: IdempotencyKey) -> str | None:
    """The JSON that answered the request with that key; None if there was none. Raises IdempotencyConflict."""
    it = (idempotency.c.gallery_id == view.row.id, idempotency.c.key_hash == _hash(key.key.encode()))
    row = view.connection.execute(select(idempotency).where(*it)).one_or_none()
    if row is None or row.created_at <= view.now - ANSWERS_KEPT:
        return None
    if row.request_hash != _hash(key.request):
        raise IdempotencyConflict("the idempotency key was used for another request; send a new key")
    if row.answer is None:
        raise IdempotencyConflict("what the request with this idempotency key enrolled is forgotten; send a new key")
    return str(row.answer)


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()


def _columns(facts: PersonFacts) -> dict[str, object]:
    return {
        "note": facts.note,
        "consent_reference": facts.consent and facts.consent.reference,
        "consent_given_on": facts.consent and facts.consent.given_on,
        "forget_at": facts.forget_at,
    }
