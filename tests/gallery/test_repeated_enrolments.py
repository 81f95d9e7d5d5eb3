"""Enrolments with an Idempotency-Key: done once, however often and by how many they are sent."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedder import FaceEmbedder
from gallery import Galleries, IdempotencyConflict, PersonFacts, open_store

Photo = Callable[[str], bytes]


@pytest.fixture
def galleries(url: str, embedder: FaceEmbedder) -> Iterator[Galleries]:
    """Galleries of a new store, in which there is one, called staff."""
    with open_store(url) as store:
        made = Galleries(store, embedder)
        made.create_gallery("staff")
        yield made


@pytest.fixture
def photo(examples: Path) -> Photo:
    return lambda name: (examples / f"{name}.jpg").read_bytes()


def test_a_repeated_request_with_its_key_has_the_answer_of_the_first(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral"), photo("001-smiling")]
    first = galleries.enrol("staff", "alice", photos, idempotency="key", request_id="r-1")
    assert galleries.enrol("staff", "alice", photos, idempotency="key", request_id="r-2") == first
    for other in ({"photos": photos[:1]}, {"person": "bob"}, {"face": "largest"}, {"allow_duplicate": True}):
        with pytest.raises(IdempotencyConflict):
            galleries.enrol(**({"gallery": "staff", "person": "alice", "photos": photos, "idempotency": "key"} | other))  # type: ignore[arg-type] # keywords of several types


def test_a_key_counts_too_if_all_photos_are_there_already(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral")]
    galleries.enrol("staff", "alice", photos)
    request = {"facts": PersonFacts("north"), "idempotency": "key"}
    first = galleries.enrol("staff", "alice", photos, **request)  # type: ignore[arg-type] # keywords of several types
    later = galleries.put_person("staff", "alice", PersonFacts("south"))
    again = galleries.enrol("staff", "alice", photos, **request)  # type: ignore[arg-type] # the same
    assert (again.added, again.already_there) == (first.added, first.already_there)
    assert again.person == later  # nothing is done twice
    with pytest.raises(IdempotencyConflict):
        galleries.enrol("staff", "alice", [photo("001-smiling")], idempotency="key")
    galleries.forget_person("staff", "alice")
    with pytest.raises(IdempotencyConflict, match="is forgotten"):  # and nobody comes back by a repetition
        galleries.enrol("staff", "alice", photos, **request)  # type: ignore[arg-type] # the same


def test_repeated_requests_at_the_same_time_have_one_answer(galleries: Galleries, photo: Photo) -> None:
    photos = [photo("001-neutral")]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: galleries.enrol("staff", "alice", photos, idempotency="key"), range(4)))
    assert len(answers[0].added) == 1
    assert [(each.added, each.already_there) for each in answers] == [(answers[0].added, ())] * 4
