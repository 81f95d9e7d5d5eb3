"""Of threads that find faces one is in Python; the others wait for its turn, or compute."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from embedder import FaceEmbedder, turn

PATIENCE_S = 10


def test_while_one_has_the_turn_another_waits() -> None:
    has_it, may_end, order = Event(), Event(), []

    def first() -> None:
        with turn.taken():
            has_it.set()
            may_end.wait(PATIENCE_S)
            order.append("first")

    def second() -> None:
        has_it.wait(PATIENCE_S)
        with turn.taken():
            order.append("second")

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(second), threads.submit(first)]
        assert has_it.wait(PATIENCE_S)
        may_end.set()
        for each in both:
            each.result(PATIENCE_S)
    assert order == ["first", "second"]


def test_who_computes_leaves_the_turn_to_others_and_has_it_again_afterwards() -> None:
    def other() -> str:
        with turn.taken():
            return "had it"

    with ThreadPoolExecutor(1) as threads, turn.taken():
        with turn.given_up():
            assert threads.submit(other).result(PATIENCE_S) == "had it"
        waiting = threads.submit(other)
        assert not waiting.done()
        with turn.given_up(), turn.given_up():  # the inner one has nothing to give up
            assert waiting.result(PATIENCE_S) == "had it"


def test_who_has_no_turn_gives_up_none() -> None:
    with turn.given_up(), turn.taken():
        pass


def test_an_error_while_others_compute_loses_no_turn() -> None:
    with pytest.raises(ZeroDivisionError), turn.taken(), turn.given_up():
        raise ZeroDivisionError
    with turn.taken():
        pass


def test_many_threads_find_the_same_faces_as_one(embedder: FaceEmbedder, data: Path) -> None:
    photos = [path.read_bytes() for path in sorted((data / "groups").glob("*.jpg"))[:4]]
    one_by_one = [embedder.detect(photo) for photo in photos]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(embedder.detect, photos * 4)) == one_by_one * 4
