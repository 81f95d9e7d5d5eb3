"""Sixteen threads in each of four processes write at once, and nothing is lost."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest
from stored_templates import DIGESTS, new_template

from embedder import Deadline, use_deadline
from gallery import PersonFacts, Store, StoreUnavailable, open_store

WRITERS = Path(__file__).with_name("store_writers.py")
N_PROCESSES, N_THREADS, N_WRITES = 4, 16, 2


def test_a_write_waits_for_another_no_longer_than_its_deadline(store: Store, url: str) -> None:
    with open_store(url) as other, other._write("staff"), use_deadline(Deadline(0.3)):
        begun_s = monotonic()
        with pytest.raises(StoreUnavailable, match="locked"):
            store.put_person("staff", "bob", PersonFacts())
        assert monotonic() - begun_s < 20  # the stores' own limits are 30 and 60 s
    store.put_person("staff", "bob", PersonFacts())


def test_no_update_of_four_processes_with_sixteen_threads_is_lost(url: str) -> None:
    with open_store(url) as store:
        first = store.create_gallery("staff").version
        store.put_person("staff", "tally", PersonFacts(note="0"))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        processes = [
            subprocess.Popen([sys.executable, str(WRITERS), url, str(number)], env=environment)
            for number in range(N_PROCESSES)
        ]
        assert [process.wait(300) for process in processes] == [0] * N_PROCESSES
        n_writes = N_PROCESSES * N_THREADS * N_WRITES
        assert store.person("staff", "tally").facts.note == str(n_writes)
        assert len(store.person("staff", "everybody").templates) == n_writes
        assert store.gallery("staff").n_people == N_PROCESSES * N_THREADS + 2
        assert sum(store.gallery("staff").n_templates.values()) == 2 * n_writes
        assert store.gallery("staff").version == first + 1 + 3 * n_writes  # each write has a version of its own


def test_each_change_is_told_once_in_the_order_of_versions_while_others_write(url: str) -> None:
    with open_store(url) as store, open_store(url) as reader:
        since = store.create_gallery("staff").version
        writers = [Thread(target=_add, args=(store, number)) for number in range(8)]
        for writer in writers:
            writer.start()
        seen: list[str] = []
        while any(writer.is_alive() for writer in writers) or since < store.gallery("staff").version:
            changes = reader.changes("staff", DIGESTS[0], since=since)
            assert changes.is_complete
            seen, since = seen + list(changes.added.ids), changes.version
        stored = [its_id for block in store.templates("staff", DIGESTS[0]) for its_id in block.ids]
        assert sorted(seen) == sorted(stored)


def _add(store: Store, number: int) -> None:
    for each in range(6):
        store.add_templates("staff", f"person {number}", [new_template(1 + 3 * (each + 6 * number))])


def test_another_replica_learns_of_a_forgotten_person_within_a_second(url: str) -> None:
    with open_store(url) as one, open_store(url) as other:
        one.create_gallery("staff")
        bob = one.add_templates("staff", "bob", [new_template(1)])
        assert other.wait_for_change(5)  # the first call: whatever happened before
        since, delays = other.gallery("staff").version, []
        told = Event()
        waiter = Thread(target=lambda: told.set() if other.wait_for_change(10) else None)
        waiter.start()
        one.forget_person("staff", "bob")
        forgotten_at = monotonic()
        assert told.wait(10)
        delays.append(monotonic() - forgotten_at)
        changes = other.changes("staff", DIGESTS[0], since=since)
        waiter.join()
    assert changes.removed == {bob.templates[0].id}
    assert delays[0] < 1


def test_nothing_is_told_when_nobody_writes(url: str) -> None:
    with open_store(url) as store, open_store(url) as other:
        store.create_gallery("staff")
        assert other.wait_for_change(5)
        other.wait_for_change(0.2)
        assert not other.wait_for_change(0.2)
        store.put_person("staff", "bob", PersonFacts())
        assert other.wait_for_change(5)


def test_closing_a_store_ends_waiting(url: str) -> None:
    store = open_store(url)
    store.wait_for_change(0.1)
    store.wait_for_change(0.1)
    waiter = Thread(target=store.wait_for_change, args=(60,))
    waiter.start()
    store.close()
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_writer_that_is_locked_out_is_told_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery.postgres.LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr("gallery.sqlite.BUSY_TIMEOUT_S", 0.5)
    with open_store(url) as store, open_store(url) as other:
        store.create_gallery("staff")
        with other._write("staff"), pytest.raises(StoreUnavailable, match="locked"):
            store.put_person("staff", "bob", PersonFacts())
