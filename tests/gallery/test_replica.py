"""A gallery's templates in memory: many faces are identified as each one is, with as few questions to the store."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from set_clock import Clock
from stored_templates import new_template, vector

from embedder import FaceEmbedder
from gallery import GalleryReplica, IdentifyOptions, NewTemplate, PersonFacts, Store, open_store, penalties_of

NUMBERS = 3, 1, 2, 1, 9  # of probes; 9 is of nobody
OPTIONS = IdentifyOptions(fpir=0.05, limit=1)


@pytest.fixture
def store(tmp_path: Path, clock: Clock, embedder: FaceEmbedder) -> Iterator[Store]:
    """Three people with a template each; the third one is to be forgotten after a day."""
    with open_store(f"sqlite:///{tmp_path}/gallery.db", now=clock) as opened:
        opened.create_gallery("staff")
        for number, until in ((1, None), (2, None), (3, clock.now + timedelta(days=1))):
            made = new_template(number)
            template = NewTemplate(made.vector, made.quality, embedder.identity.digest)
            opened.add_templates("staff", f"p{number}", [template], facts=PersonFacts(forget_at=until))
        yield opened


@pytest.fixture
def find(store: Store, embedder: FaceEmbedder) -> Callable[[Sequence[int]], list[str | None]]:
    """Tell who the probes of these numbers are, all at once."""
    replica = GalleryReplica(store, "staff", embedder.card, embedder.identity.digest)

    def found(numbers: Sequence[int]) -> list[str | None]:
        penalties = penalties_of(embedder.card, [new_template(each).quality for each in numbers])
        identified = replica.identify_vectors(np.stack([vector(each) for each in numbers]), penalties, OPTIONS)
        return [each.match and each.match.person for each in identified]

    return found


Find = Callable[[Sequence[int]], list[str | None]]


def test_many_faces_are_who_each_one_is(find: Find) -> None:
    assert find(NUMBERS) == ["p3", "p1", "p2", "p1", None]
    assert find(NUMBERS) == [person for number in NUMBERS for person in find([number])]


def test_many_faces_are_as_many_questions_to_the_store_as_one(
    find: Find, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    find([1])  # reads the templates
    asked = list[str]()
    for name in ("changes", "people_of"):
        plain = getattr(store, name)
        monkeypatch.setattr(
            store, name, lambda *args, _name=name, _plain=plain, **of: asked.append(_name) or _plain(*args, **of)
        )
    find(NUMBERS)
    assert asked == ["changes", "people_of"]


def test_who_has_expired_is_found_on_none_of_many_faces(find: Find, clock: Clock) -> None:
    assert find(NUMBERS)[0] == "p3"
    clock.now += timedelta(days=1)
    assert find(NUMBERS) == [None, "p1", "p2", "p1", None]
