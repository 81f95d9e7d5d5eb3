"""What a store does for a few templates costs the same in a large gallery, counted in steps of SQLite's machine."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import Pool
from stored_templates import DIGESTS, new_template

from gallery import IdempotencyKey, Person, PersonFacts, Store, open_store

PERSON, N_EACH = "p-00007", 3
SMALL, LARGE = 100, 1_000  # people
UNIT = 10  # steps between two calls of SQLite's progress handler
MOST_MORE = 1.5  # times the steps: an index of ten times the rows is a little deeper

_numbers = count(10**6)


def _ids(store: Store, person: str = PERSON) -> list[str]:
    return [each.id for each in store.person("staff", person).templates]


def _enrolled(store: Store, person: str = PERSON) -> Person:
    key = IdempotencyKey(f"key-{next(_numbers)}", b"request", lambda _: "{}")
    return store.add_templates("staff", person, [new_template(next(_numbers))], idempotency=key)


def _there_already(store: Store) -> Person:
    key = IdempotencyKey(f"key-{next(_numbers)}", b"request", lambda _: "{}")
    return store.confirm_templates("staff", PERSON, idempotency=key)


def _forgotten_at_its_time(store: Store) -> None:
    store.put_person("staff", "p-00008", PersonFacts(forget_at=datetime(2099, 1, 1, tzinfo=UTC)))
    store.forget_expired(datetime(2099, 1, 2, tzinfo=UTC))


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "person": lambda store: store.person("staff", PERSON),
    "people": lambda store: store.people("staff", after=PERSON, limit=5),
    "people of templates": lambda store: store.people_of("staff", _ids(store)),
    "templates of a person": lambda store: store.templates_of("staff", PERSON, DIGESTS[0]),
    "changes": lambda store: store.changes("staff", DIGESTS[0], since=_enrolled(store).version - 1),
    "enrolment": _enrolled,
    "enrolment of a new person": lambda store: _enrolled(store, "somebody new"),
    "enrolment of what is there": _there_already,
    "facts": lambda store: store.put_person("staff", PERSON, PersonFacts(note="second floor")),
    "forgetting a template": lambda store: store.forget_template("staff", "p-00009", _ids(store, "p-00009")[0]),
    "forgetting a person": lambda store: store.forget_person("staff", "p-00010"),
    "enrolment after a forgetting": _enrolled,
    "forgetting at its time": _forgotten_at_its_time,
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """A small gallery and a large one."""
    folder = tmp_path_factory.mktemp("stores")
    with open_store(f"sqlite:///{folder}/small.db") as small, open_store(f"sqlite:///{folder}/large.db") as large:
        _fill(small, SMALL)
        _fill(large, LARGE)
        yield small, large


def _fill(store: Store, n_people: int) -> None:
    store.create_gallery("staff")
    for person in range(n_people):
        templates = [new_template(N_EACH * person + k + 1) for k in range(N_EACH)]
        key = IdempotencyKey(f"key-{person}", b"request", lambda _: "{}")
        store.add_templates("staff", f"p-{person:05}", templates, idempotency=key)


def _steps(store: Store, operation: Callable[[Store], object]) -> int:
    calls = list[None]()

    def watch(connection: DBAPIConnection, *_: object) -> None:
        connection.set_progress_handler(lambda: calls.append(None), UNIT)

    event.listen(Pool, "checkout", watch)
    try:
        operation(store)
    finally:
        event.remove(Pool, "checkout", watch)
    return UNIT * len(calls)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_does_not_walk_the_gallery(stores: tuple[Store, Store], name: str) -> None:
    in_small, in_large = (_steps(store, OPERATIONS[name]) for store in stores)
    assert 0 < in_large < MOST_MORE * in_small


def test_the_count_notices_a_walk(stores: tuple[Store, Store]) -> None:
    in_small, in_large = (_steps(store, lambda store: store.gallery("staff")) for store in stores)
    assert in_large > MOST_MORE * in_small
