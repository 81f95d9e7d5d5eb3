"""Whatever is done in whatever order, each store is what a plain model of dictionaries is."""

from collections.abc import Callable
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from plain_store import PlainPerson, PlainStore
from postgres_server import new_database
from stored_templates import DIGESTS, new_template, vector

from gallery import (
    Consent,
    GalleryError,
    IdempotencyKey,
    Person,
    PersonFacts,
    Receipt,
    Store,
    TemplateBlock,
    open_store,
)

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
GALLERIES = st.sampled_from(["staff", "Staff"])
PEOPLE = st.sampled_from(["bob", "Bob", "Zoë", "名"])  # by code points: Bob, Zoë, bob, 名
VERSIONS = st.sampled_from([None, None, None, "current", "older"])
KEYS = st.sampled_from([None, None, "key 1", "key 2"])
FACTS = st.builds(
    PersonFacts,
    note=st.sampled_from([None, "", "at the gate"]),
    consent=st.sampled_from([None, Consent("form 7", date(2026, 11, 1))]),
    forget_at=st.sampled_from([None, 1, 2]).map(lambda hours: hours and START + timedelta(hours=hours)),
)


class _Same(RuleBasedStateMachine):
    """Does each operation on a store and on the model, and compares results, errors, and what is there afterwards."""

    open: Callable[[Callable[[], datetime]], Store]

    def __init__(self) -> None:
        super().__init__()
        self.model, self.numbers, self.n_hours = PlainStore(START), count(1), 0
        self.store = type(self).open(lambda: self.model.time)
        self.indexes: dict[str, tuple[int, dict[str, bytes]]] = {}  # as a replica keeps them, by changes alone

    def teardown(self) -> None:
        self.store.close()

    @rule(name=GALLERIES)
    def create(self, name: str) -> None:
        self._both(lambda: self.store.create_gallery(name).version, lambda: self.model.create_gallery(name).version)

    @rule(name=GALLERIES, person=PEOPLE, facts=FACTS, version=VERSIONS, must_be_new=st.booleans())
    def put(self, name: str, person: str, facts: PersonFacts, version: str | None, must_be_new: bool) -> None:  # noqa: FBT001 - hypothesis names them
        if facts.forget_at is not None and facts.forget_at <= self.model.time:
            facts = PersonFacts(facts.note, facts.consent)
        options: Any = {"if_version": self._version(name, person, version), "must_be_new": must_be_new}
        self._both(
            lambda: _plain(self.store.put_person(name, person, facts, **options)),
            lambda: _fact(self.model.put_person(name, person, facts, **options)),
        )

    @rule(name=GALLERIES, person=PEOPLE, n=st.integers(1, 3), version=VERSIONS, key=KEYS)
    def add(self, name: str, person: str, n: int, version: str | None, key: str | None) -> None:
        numbers = [next(self.numbers) for _ in range(n)]
        self._add(name, person, numbers, version, key)
        if key:
            self._add(name, person, numbers, None, key)  # the same request again

    def _add(self, name: str, person: str, numbers: list[int], version: str | None, key: str | None) -> None:
        if_version = self._version(name, person, version)
        request = repr((person, tuple(numbers))).encode()
        whole_key = IdempotencyKey(key, request, lambda it: it.id) if key else None
        new = [new_template(number) for number in numbers]
        self._both(
            lambda: _plain(self.store.add_templates(name, person, new, if_version=if_version, idempotency=whole_key)),
            lambda: _fact(self.model.add_templates(name, person, numbers, if_version=if_version, key=key)),
        )

    @rule(name=GALLERIES, person=PEOPLE, note=st.sampled_from([None, "at the door"]), key=KEYS)
    def confirm(self, name: str, person: str, note: str | None, key: str | None) -> None:
        facts = None if note is None else PersonFacts(note)
        whole_key = IdempotencyKey(key, repr((person, facts)).encode(), lambda it: it.id) if key else None
        self._both(
            lambda: _plain(self.store.confirm_templates(name, person, facts=facts, idempotency=whole_key)),
            lambda: _fact(self.model.confirm_templates(name, person, facts=facts, key=key)),
        )

    @rule(name=GALLERIES, person=PEOPLE, which=st.integers(0, 3), version=VERSIONS)
    def forget_template(self, name: str, person: str, which: int, version: str | None) -> None:
        if_version = self._version(name, person, version)
        number, its_id = self._template(name, person, which)
        self._both(
            lambda: _counts(self.store.forget_template(name, person, its_id, if_version=if_version)),
            lambda: self.model.forget_template(name, person, number, if_version=if_version),
        )

    @rule(name=GALLERIES, person=PEOPLE, version=VERSIONS)
    def forget_person(self, name: str, person: str, version: str | None) -> None:
        if_version = self._version(name, person, version)
        self._both(
            lambda: _counts(self.store.forget_person(name, person, if_version=if_version)),
            lambda: self.model.forget_person(name, person, if_version=if_version),
        )

    @rule(name=GALLERIES, may=st.integers(0, 3))
    def forget_gallery(self, name: str, may: int) -> None:
        wrong = None if may == 0 else -1  # it mostly fails, so that galleries live for some time
        self._both(
            lambda: _counts(self.store.forget_gallery(name, if_version=wrong)),
            lambda: self.model.forget_gallery(name, if_version=wrong),
        )

    @precondition(lambda self: self.n_hours < 3)
    @rule()
    def time_passes(self) -> None:
        self.n_hours += 1
        self.model.time = START + timedelta(hours=self.n_hours)

    @rule()
    def forget_expired(self) -> None:
        receipts = self.store.forget_expired(self.model.time)
        assert [(each.gallery, *_counts(each)) for each in receipts] == self.model.forget_expired()

    @invariant()
    def galleries_are_the_same(self) -> None:
        found = {each.name: (each.version, each.n_people, dict(each.n_templates)) for each in self.store.galleries()}
        assert found == {name: self._gallery(name) for name in sorted(self.model.all)}

    @invariant()
    def people_are_the_same_by_pages(self) -> None:
        for name in self.model.all:
            pages = [self.store.people(name, limit=2)]
            while pages[-1]:
                pages.append(self.store.people(name, after=pages[-1][-1].id, limit=2))
            found = [(each.id, _plain(each)) for page in pages for each in page]
            assert found == [(person, _fact(it)) for person, it in self.model.living(name).items()]

    @invariant()
    def templates_are_the_same_and_reached_by_changes(self) -> None:
        for name in self.model.all:
            living = self.model.living(name)
            for digest in DIGESTS:
                expected = {
                    vector(each).tobytes(): (person, it.facts.forget_at)
                    for person, it in living.items()
                    for each in it.templates
                    if new_template(each).model_digest == digest
                }
                blocks = list(self.store.templates(name, digest))
                found = {entry[1]: entry[2:] for block in blocks for entry in _entries(block)}
                assert found == expected
            self._catch_up(name)

    def _catch_up(self, name: str) -> None:
        """Bring an index up to date by changes, as a replica does."""
        key = f"{name} {DIGESTS[0]}"
        since, index = self.indexes.get(key, (0, {}))
        changed = self.store.changes(name, DIGESTS[0], since=since)
        stored = {entry[0]: entry[1:] for block in self.store.templates(name, DIGESTS[0]) for entry in _entries(block)}
        if changed.is_complete:
            kept = {its_id: it for its_id, it in index.items() if its_id not in changed.removed}
            index = kept | {entry[0]: entry[1:] for entry in _entries(changed.added)}
            now = self.model.time
            assert {its_id: it for its_id, it in index.items() if it[2] is None or it[2] > now} == stored
        self.indexes[key] = (changed.version, index if changed.is_complete else stored)

    def _gallery(self, name: str) -> tuple[int, int, dict[str, int]]:
        living = self.model.living(name)
        digests = [new_template(each).model_digest for it in living.values() for each in it.templates]
        return self.model.all[name].version, len(living), {each: digests.count(each) for each in set(digests)}

    def _version(self, name: str, person: str, which: str | None) -> int | None:
        gallery = self.model.all.get(name)
        it = gallery.people.get(person) if gallery else None
        if which is None or it is None:
            return None if which is None else 1
        return it.version if which == "current" else it.version - 1

    def _template(self, name: str, person: str, which: int) -> tuple[int, str]:
        """The number and the id of a person's template; of none if there are fewer."""
        try:
            number = self.model.person(name, person).templates[which]
            return number, self.store.person(name, person).templates[which].id
        except (GalleryError, IndexError):
            return -1, "none"

    def _both(self, real: Callable[[], object], plain: Callable[[], object]) -> None:
        assert _outcome(real) == _outcome(plain)


def _outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except GalleryError as error:
        return type(error)


def _plain(person: Person) -> object:
    """The facts, the version and the numbers of the templates, which their quality tells."""
    return person.facts, person.version, [round(each.quality.eye_distance_px) for each in person.templates]


def _fact(person: PlainPerson) -> object:
    return person.facts, person.version, list(person.templates)


def _counts(receipt: Receipt) -> tuple[int, int]:
    return receipt.n_people, receipt.n_templates


def _entries(block: TemplateBlock) -> list[tuple[str, bytes, str, datetime | None]]:
    vectors = [each.tobytes() for each in block.vectors]
    numbers = [round(each) for each in block.qualities[:, 0]]
    assert [vector(number).tobytes() for number in numbers] == vectors
    assert np.array_equal(
        block.qualities, np.array([astuple(new_template(each).quality) for each in numbers]).reshape(-1, 10)
    )
    return list(zip(block.ids, vectors, block.persons, block.forget_at, strict=True))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_store_does_what_the_model_does(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    numbers = count()

    def opened(now: Callable[[], datetime]) -> Store:
        if kind == "sqlite":
            return open_store(f"sqlite:///{tmp_path}/{next(numbers)}.db", now=now)
        return open_store(new_database(request.getfixturevalue("postgres")), now=now)

    machine = type("_Machine", (_Same,), {"open": staticmethod(opened)})
    run_state_machine_as_test(machine, settings=SETTINGS)


SETTINGS = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
