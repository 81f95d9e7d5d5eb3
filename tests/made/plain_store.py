"""A store as dictionaries: what the real ones must do, said a second time. Templates have numbers instead of ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gallery import (
    AlreadyExists,
    IdempotencyConflict,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    PersonFacts,
    VersionConflict,
)


@dataclass
class PlainPerson:
    """A person; `templates` are numbers, the oldest first."""

    facts: PersonFacts
    version: int
    templates: list[int] = field(default_factory=list)


@dataclass
class PlainGallery:
    """A gallery; `answers` are the person and the version that an idempotency key was answered with."""

    version: int
    people: dict[str, PlainPerson] = field(default_factory=dict)
    answers: dict[str, tuple[object, str | None]] = field(default_factory=dict)


class PlainStore:
    """Galleries in memory, for one thread."""

    def __init__(self, time: datetime) -> None:
        self.all: dict[str, PlainGallery] = {}
        self.highest_forgotten = 0
        self.time = time

    def create_gallery(self, name: str) -> PlainGallery:
        if name in self.all:
            raise AlreadyExists
        self.all[name] = PlainGallery(self.highest_forgotten + 1)
        return self.all[name]

    def gallery(self, name: str) -> PlainGallery:
        if name not in self.all:
            raise NoSuchGallery
        return self.all[name]

    def living(self, name: str) -> dict[str, PlainPerson]:
        return {person: it for person, it in sorted(self.gallery(name).people.items()) if self._lives(it)}

    def person(self, name: str, person: str, if_version: int | None = None) -> PlainPerson:
        living = self.living(name)
        if person not in living:
            raise NoSuchPerson
        _require(living[person].version, if_version)
        return living[person]

    def put_person(
        self, name: str, person: str, facts: PersonFacts, *, if_version: int | None = None, must_be_new: bool = False
    ) -> PlainPerson:
        gallery, living = self.gallery(name), self.living(name)
        if if_version is not None:
            self.person(name, person, if_version)
        if must_be_new and person in living:
            raise AlreadyExists
        gallery.version += 1
        kept = living[person].templates if person in living else self._start_anew(gallery, person)
        gallery.people[person] = PlainPerson(facts, gallery.version, kept)
        return gallery.people[person]

    def add_templates(
        self,
        name: str,
        person: str,
        new: Sequence[int],
        *,
        facts: PersonFacts | None = None,
        if_version: int | None = None,
        key: str | None = None,
    ) -> PlainPerson:
        request = (person, tuple(new))
        if key and self.remembered(name, key, request):
            return self.person(name, person)
        known = self.living(name).get(person)
        changed = self.put_person(
            name, person, facts or (known.facts if known else PersonFacts()), if_version=if_version
        )
        changed.templates.extend(new)
        if key:
            self.gallery(name).answers[key] = (request, person)
        return changed

    def confirm_templates(self, name: str, person: str, *, facts: PersonFacts | None, key: str | None) -> PlainPerson:
        request = (person, facts)
        if key and self.remembered(name, key, request):
            return self.person(name, person)
        it, gallery = self.person(name, person), self.gallery(name)
        if facts is None:
            gallery.version += 1
        else:
            it = self.put_person(name, person, facts)
        if key:
            gallery.answers[key] = (request, person)
        return it

    def remembered(self, name: str, key: str, request: object) -> bool:
        known, person = self.gallery(name).answers.get(key, (None, None))
        if known is not None and (known != request or person is None):
            raise IdempotencyConflict
        return known is not None

    def forget_template(self, name: str, person: str, number: int, *, if_version: int | None = None) -> tuple[int, int]:
        it = self.person(name, person, if_version)
        if number not in it.templates:
            raise NoSuchTemplate
        gallery = self.gallery(name)
        gallery.version += 1
        it.templates.remove(number)
        it.version = gallery.version
        self._forget_answers(gallery, person)
        return 0, 1

    def forget_person(self, name: str, person: str, *, if_version: int | None = None) -> tuple[int, int]:
        n_templates = len(self.person(name, person, if_version).templates)
        gallery = self.gallery(name)
        gallery.version += 1
        self._start_anew(gallery, person)
        return 1, n_templates

    def forget_gallery(self, name: str, *, if_version: int | None = None) -> tuple[int, int]:
        gallery = self.gallery(name)
        _require(gallery.version, if_version)
        del self.all[name]
        self.highest_forgotten = max(self.highest_forgotten, gallery.version + 1)
        return len(gallery.people), sum(len(each.templates) for each in gallery.people.values())

    def forget_expired(self) -> list[tuple[str, int, int]]:
        receipts = []
        for name, gallery in sorted(self.all.items()):
            expired = {person: it for person, it in gallery.people.items() if not self._lives(it)}
            if expired:
                gallery.version += 1
                receipts.append((name, len(expired), sum(len(each.templates) for each in expired.values())))
            for person in expired:
                self._start_anew(gallery, person)
        return receipts

    def _lives(self, person: PlainPerson) -> bool:
        return person.facts.forget_at is None or person.facts.forget_at > self.time

    def _start_anew(self, gallery: PlainGallery, person: str) -> list[int]:
        """Forget a person who may be there."""
        if gallery.people.pop(person, None):
            self._forget_answers(gallery, person)
        return []

    def _forget_answers(self, gallery: PlainGallery, person: str) -> None:
        for key, (request, whose) in gallery.answers.items():
            gallery.answers[key] = (request, None if whose == person else whose)


def _require(found: int, wanted: int | None) -> None:
    if wanted is not None and found != wanted:
        raise VersionConflict
