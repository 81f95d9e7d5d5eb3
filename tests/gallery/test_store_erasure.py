"""After forgetting, no byte of a template is in any file of the store."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from postgres_server import new_database
from stored_templates import DIGESTS, new_template, vector

from gallery import GallerySearch, PersonFacts, Store, open_store

PIECE = 32  # bytes; eight channels are as good as unique


def _pieces_found(folder: Path, numbers: Iterable[int], step: int = PIECE) -> list[tuple[int, str]]:
    """Which embeddings have a piece in which file below a folder: as float16, 32 and 64, hexadecimal and int8.

    A server has a hundred megabytes of files, so there only a piece in each `step` bytes is looked for.
    """
    contents = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [
        (number, name)
        for number in numbers
        for name, content in contents.items()
        if any(piece in content for piece in _pieces(number, step))
    ]


def _pieces(number: int, step: int) -> list[bytes]:
    embedding = vector(number)
    whole = embedding.tobytes()
    in_int8 = np.round(embedding * 127).astype(np.int8).tobytes()
    forms = (*(embedding.astype(kind).tobytes() for kind in ("f2", "f4", "f8")), whole.hex().encode(), in_int8)
    return [form[start : start + PIECE] for form in forms for start in range(0, len(form), step)]


def test_the_search_finds_an_embedding_that_is_there(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        store.add_templates("staff", "bob", [new_template(1)])
        assert _pieces_found(tmp_path, [1, 2]) == [(1, "gallery.db-wal")]


def _enrol_and_forget_at_random(store: Store, folder: Path, n_steps: int) -> None:
    """Add and forget in random order, and look for all that was forgotten after each forgetting."""
    rng, numbers = np.random.default_rng(3), iter(range(1, 10_000))
    living, forgotten = dict[str, list[int]](), list[int]()
    for _ in range(n_steps):
        person = f"person {rng.integers(30)}"
        if person in living and rng.random() < 0.5:
            store.forget_person("staff", person)
            forgotten += living.pop(person)
            assert _pieces_found(folder, forgotten[-20:]) == []
        else:
            new = [next(numbers) for _ in range(rng.integers(1, 9))]
            facts = PersonFacts(note="n" * int(rng.integers(1_500)))
            store.add_templates("staff", person, [new_template(each) for each in new], facts=facts)
            living.setdefault(person, []).extend(new)
    assert _pieces_found(folder, forgotten) == []
    assert len(_pieces_found(folder, [each for its in living.values() for each in its])) > 0


def test_sqlite_keeps_nothing_of_a_forgotten_person(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        _enrol_and_forget_at_random(store, tmp_path, 120)


def test_sqlite_keeps_nothing_of_a_forgotten_template_gallery_or_expired_person(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        bob = store.add_templates("staff", "bob", [new_template(1), new_template(2)])
        store.forget_template("staff", "bob", bob.templates[0].id)
        assert [number for number, _ in _pieces_found(tmp_path, [1, 2])] == [2]
        store.forget_gallery("staff")
        assert _pieces_found(tmp_path, [1, 2]) == []


def test_erasing_a_sqlite_store_removes_notes_too(tmp_path: Path) -> None:
    note = "met at the north gate"
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        for number in range(40):
            store.put_person("staff", f"person {number}", PersonFacts(note=note if number % 2 else "n" * number))
        for number in range(1, 40, 2):
            store.forget_person("staff", f"person {number}")
        assert store.erase() == ()
        assert note.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert len(store.people("staff", limit=100)) == 20


def test_a_reader_that_stays_is_told_of_when_erasing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery.sqlite.BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gallery.sqlite.TRUNCATION_S", 0.2)
    with open_store(f"sqlite:///{tmp_path}/gallery.db") as store:
        store.create_gallery("staff")
        with open_store(f"sqlite:///{tmp_path}/gallery.db") as other, other._transaction() as reading:
            reading.exec_driver_sql("SELECT * FROM galleries").all()
            store.add_templates("staff", "bob", [new_template(1)])
            store.forget_person("staff", "bob")
            assert store.erase() == ("another program reads the file; erase again when it has ended",)
        assert store.erase() == ()
        assert _pieces_found(tmp_path, [1]) == []


@pytest.mark.parametrize(("search", "first"), [("memory", 2_000), ("pgvector", 3_000)])
def test_postgres_keeps_nothing_once_it_is_erased(postgres: Any, search: GallerySearch, first: int) -> None:
    url = new_database(postgres)
    with open_store(url, search=search) as store:
        store.create_gallery("staff")
        for number in range(first + 1, first + 41):  # no other test of the same server stores these
            store.add_templates("staff", f"person {number % 10}", [new_template(number)])
        if search == "pgvector":
            _propose_all(store)
        with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
            connection.execute("CHECKPOINT")
            connection.execute("ANALYZE")  # which would keep values of the column in its statistics
        store.forget_person("staff", "person 3")
        forgotten = [first + number for number in (3, 13, 23, 33)]
        assert _pieces_found(postgres.pgdata, forgotten, 256) != []  # PostgreSQL leaves them where they were
        assert store.erase() == ()
        assert _pieces_found(postgres.pgdata, forgotten, 256) == []
        left = {first + 4, first + 40}
        assert {number for number, _ in _pieces_found(postgres.pgdata, left, 256)} == left


def _propose_all(store: Store) -> None:
    for digest in DIGESTS:
        for block in store.unproposed("staff", digest, 128):
            store.propose(block.ids, block.vectors)


def test_an_open_transaction_that_may_see_forgotten_rows_is_told_of(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.postgres_erasure.SNAPSHOTS_S", 0.3)
    url = new_database(postgres)
    with open_store(url) as store, open_store(url) as other:
        store.create_gallery("staff")
        store.add_templates("staff", "bob", [new_template(1_001)])
        with other._transaction() as reading:
            reading.exec_driver_sql("SELECT 1").all()
            store.forget_person("staff", "bob")
            [left] = store.erase()
            assert "transactions that began before" in left
        assert store.erase() == ()
    assert _pieces_found(postgres.pgdata, [1_001], 256) == []


def test_a_user_who_may_not_rewrite_the_log_is_told_what_is_missing(postgres: Any) -> None:
    url = new_database(postgres)
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute("CREATE ROLE clerk LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO clerk")
    with open_store(url.replace("postgres:@", "clerk:@")) as store:
        store.create_gallery("staff")
        [left] = store.erase()
    assert "pg_checkpoint" in left
