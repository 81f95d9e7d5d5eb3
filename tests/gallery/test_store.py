"""Rules of a store that the model of `test_store_model.py` does not contain."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from math import nan

import numpy as np
import pytest
from set_clock import START, Clock
from stored_templates import DIGESTS, new_template, vector

from gallery import (
    IdempotencyConflict,
    IdempotencyKey,
    InvalidValue,
    NewTemplate,
    NoSuchGallery,
    NoSuchPerson,
    NoSuchTemplate,
    Person,
    PersonFacts,
    Store,
    open_store,
)

WRONG_NAMES = ["", "n" * 201, " bob", "bob\n", "b\x00b", "\u202ebob", "\ud800"]


@pytest.fixture
def timed(url: str, clock: Clock) -> Iterator[Store]:
    """A store whose time a test sets."""
    with open_store(url, now=clock) as store:
        store.create_gallery("staff")
        yield store


def _answer(person: Person) -> str:
    return f'{{"templates": {len(person.templates)}}}'


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_name_that_cannot_be_told_apart_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidValue):
        store.create_gallery(name)
    with pytest.raises(InvalidValue):
        store.put_person("staff", name, PersonFacts())
    with pytest.raises(InvalidValue):
        store.add_templates("staff", name, [new_template(1)])
    with pytest.raises(NoSuchPerson):
        store.person("staff", name)
    with pytest.raises(NoSuchGallery):
        store.gallery(name)
    with pytest.raises(InvalidValue):
        store.people("staff", after=name, limit=1)


def test_a_template_id_of_odd_characters_is_none(store: Store) -> None:
    store.add_templates("staff", "bob", [new_template(1)])
    for odd in ("", "\x00", "\ud800", "%"):
        with pytest.raises(NoSuchTemplate):
            store.forget_template("staff", "bob", odd)


@pytest.mark.parametrize("note", ["n" * 2_001, "a\x00b", "\ud800"])
def test_a_note_that_is_no_text_is_refused(store: Store, note: str) -> None:
    with pytest.raises(InvalidValue, match="note"):
        store.put_person("staff", "bob", PersonFacts(note=note))


def test_all_texts_come_back_as_they_were(store: Store) -> None:
    note = "Ünï\tcode 名\n'; DROP TABLE people; --"
    store.put_person("staff", "名 O'Neil %s", PersonFacts(note=note))
    assert store.person("staff", "名 O'Neil %s").facts.note == note


LATEST = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2)))  # in UTC it is in the year 10,000


@pytest.mark.parametrize("forget_at", [datetime(2999, 1, 1), START, START - timedelta(days=1), LATEST])  # noqa: DTZ001 - refused
def test_a_time_to_forget_without_a_zone_in_the_past_or_after_all_years_is_refused(
    timed: Store, forget_at: datetime
) -> None:
    with pytest.raises(InvalidValue, match="time"):
        timed.put_person("staff", "bob", PersonFacts(forget_at=forget_at))
    assert timed.people("staff", limit=1) == []


def test_a_time_to_forget_of_another_zone_is_the_same_moment(timed: Store, clock: Clock) -> None:
    forget_at = datetime(2026, 11, 29, 20, 0, 0, 1, tzinfo=timezone(timedelta(hours=7)))  # 13:00:00.000001 UTC
    facts = timed.put_person("staff", "bob", PersonFacts(forget_at=forget_at)).facts
    assert facts.forget_at == forget_at
    clock.now = forget_at - timedelta(microseconds=1)
    assert timed.person("staff", "bob").facts == facts
    clock.now = forget_at
    with pytest.raises(NoSuchPerson):
        timed.person("staff", "bob")


def test_an_expired_person_is_found_by_no_method_before_it_is_deleted(timed: Store, clock: Clock) -> None:
    timed.add_templates("staff", "bob", [new_template(1)], facts=PersonFacts(forget_at=START + timedelta(hours=1)))
    version = timed.gallery("staff").version
    clock.now = START + timedelta(hours=1)
    assert timed.people("staff", limit=10) == []
    assert (timed.gallery("staff").n_people, timed.gallery("staff").n_templates) == (0, {})
    assert list(timed.templates("staff", DIGESTS[0])) == []
    assert len(timed.changes("staff", DIGESTS[0], since=version - 1).added) == 0
    for act in (timed.person, timed.forget_person):
        with pytest.raises(NoSuchPerson):
            act("staff", "bob")
    assert timed.gallery("staff").version == version  # it is all by time: nothing is written yet
    assert [receipt.n_templates for receipt in timed.forget_expired(clock.now)] == [1]
    assert timed.forget_expired(clock.now) == []


def test_a_person_enrolled_anew_after_the_time_has_no_old_templates(timed: Store, clock: Clock) -> None:
    timed.add_templates("staff", "bob", [new_template(1)], facts=PersonFacts(forget_at=START + timedelta(hours=1)))
    clock.now = START + timedelta(hours=1)
    bob = timed.add_templates("staff", "bob", [new_template(2)])
    assert [each.quality.eye_distance_px for each in bob.templates] == [2.0]
    assert (bob.created_at, bob.facts) == (clock.now, PersonFacts())


def test_the_same_idempotency_key_adds_once_and_remembers_the_answer(store: Store) -> None:
    key = IdempotencyKey("k", b"request", _answer)
    assert store.remembered_answer("staff", key) is None
    first = store.add_templates("staff", "bob", [new_template(1)], idempotency=key)
    assert store.add_templates("staff", "bob", [new_template(1)], idempotency=key) == first
    assert store.remembered_answer("staff", key) == '{"templates": 1}'


def test_an_idempotency_key_of_another_request_is_refused(store: Store) -> None:
    store.add_templates("staff", "bob", [new_template(1)], idempotency=IdempotencyKey("k", b"request", _answer))
    other = IdempotencyKey("k", b"other", _answer)
    with pytest.raises(IdempotencyConflict, match="another request"):
        store.remembered_answer("staff", other)
    with pytest.raises(IdempotencyConflict, match="another request"):
        store.add_templates("staff", "bob", [new_template(2)], idempotency=other)
    assert len(store.person("staff", "bob").templates) == 1


def test_a_late_repetition_does_not_enrol_a_forgotten_person_again(store: Store) -> None:
    key = IdempotencyKey("k", b"request", _answer)
    store.add_templates("staff", "bob", [new_template(1)], idempotency=key)
    store.forget_person("staff", "bob")
    with pytest.raises(IdempotencyConflict, match="forgotten"):
        store.add_templates("staff", "bob", [new_template(1)], idempotency=key)
    assert store.people("staff", limit=1) == []


def test_an_idempotency_key_is_free_again_after_a_day(timed: Store, clock: Clock) -> None:
    key = IdempotencyKey("k", b"request", _answer)
    timed.add_templates("staff", "bob", [new_template(1)], idempotency=key)
    clock.now += timedelta(hours=24)
    assert timed.remembered_answer("staff", key) is None
    assert len(timed.add_templates("staff", "bob", [new_template(2)], idempotency=key).templates) == 2


def test_one_wrong_template_leaves_nothing_of_the_request(store: Store) -> None:
    broken = NewTemplate(np.full(128, nan, np.float32), new_template(1).quality, DIGESTS[0])
    with pytest.raises(ValueError, match="finite"):
        store.add_templates("staff", "bob", [new_template(1), broken])
    with pytest.raises(ValueError, match="no template"):
        store.add_templates("staff", "bob", [])
    assert store.people("staff", limit=1) == []


def test_an_answer_that_cannot_be_made_leaves_nothing_of_the_request(store: Store) -> None:
    def fail(_: Person) -> str:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError):
        store.add_templates("staff", "bob", [new_template(1)], idempotency=IdempotencyKey("k", b"request", fail))
    assert store.people("staff", limit=1) == []


def test_templates_come_in_blocks_bit_for_bit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery.store.BLOCK_SIZE", 3)
    numbers = [number for number in range(1, 12) if number % 3]
    store.add_templates("staff", "bob", [new_template(number) for number in numbers])
    blocks = list(store.templates("staff", DIGESTS[0]))
    assert [len(block) for block in blocks] == [3, 3, 2]
    assert np.concatenate([block.vectors for block in blocks]).tobytes() == b"".join(
        vector(number).tobytes() for number in numbers
    )


def test_a_version_that_is_too_old_asks_to_read_everything(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.gallery("staff").version
    monkeypatch.setattr("gallery.reading.N_VERSIONS_KEPT", 3)
    monkeypatch.setattr("gallery.writing.N_VERSIONS_KEPT", 3)
    for number in range(3):
        store.put_person("staff", f"person {number}", PersonFacts())
    assert store.changes("staff", DIGESTS[0], since=first).is_complete
    store.add_templates("staff", "bob", [new_template(1)])
    assert not store.changes("staff", DIGESTS[0], since=first).is_complete
    assert len(store.changes("staff", DIGESTS[0], since=first + 1).added) == 1


def test_versions_of_a_gallery_forgotten_and_created_anew_are_later_ones(store: Store) -> None:
    store.add_templates("staff", "bob", [new_template(1)])
    before = store.gallery("staff").version
    store.forget_gallery("staff")
    assert store.create_gallery("staff").version > before
    assert not store.changes("staff", DIGESTS[0], since=before).is_complete


def test_no_embedding_is_in_a_repr(store: Store) -> None:
    new = new_template(1)
    store.add_templates("staff", "bob", [new])
    [block] = store.templates("staff", DIGESTS[0])
    assert not [each for each in (repr(new), repr(block)) if "vector" in each or f"{new.vector[0]:.4f}" in each]
