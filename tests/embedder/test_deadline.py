"""Work stops at its deadline, in every thread; and what it leaves behind holds no picture."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from threading import Barrier, Event, Timer

import pytest
from PIL import Image

from embedder import Deadline, DeadlineExceeded, FaceEmbedder, NoFace, OutOfMemory, load, use_deadline
from embedder.deadline import time_left_s
from embedder.image import Photo
from embedder.runtime.runtime import CoreThreads

LONG_S = 3600.0


@pytest.fixture(scope="module")
def face(examples: Path) -> bytes:
    return (examples / "001-neutral.jpg").read_bytes()


def plain(side: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (side, side), "grey").save(out, "PNG")
    return out.getvalue()


def test_all_threads_have_the_deadline_of_the_caller() -> None:
    deadline, both = Deadline(60), Barrier(2)

    def seen(_: int) -> bool:
        both.wait(10)
        return time_left_s(LONG_S) <= deadline.limit_s

    threads = CoreThreads("test")
    with use_deadline(deadline), threads.begun(seen, [1, 2]) as results:
        assert results() == [True] * 2
    threads.close()
    assert time_left_s(LONG_S) == LONG_S


class Item:
    """What a task works on."""


def test_items_of_tasks_that_are_given_up_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedder.runtime.runtime.n_cores", lambda: 2)
    threads, busy = CoreThreads("test"), Event()
    with threads.begun(lambda _: busy.wait(30), [None]):
        items = [Item() for _ in range(3)]
        kept = [weakref.ref(each) for each in items]
        with threads.begun(lambda item: item, items):
            del items
        assert [each() for each in kept] == [None] * 3  # although the thread has not come to them
        busy.set()
    threads.close()


def test_work_that_is_late_does_not_begin(embedder: FaceEmbedder, face: bytes) -> None:
    with use_deadline(Deadline(0)), pytest.raises(DeadlineExceeded, match="stopped after 0 s"):
        embedder.verify(face, face)


def test_work_is_stopped_between_two_passes(embedder: FaceEmbedder, face: bytes) -> None:
    deadline, width_height = Deadline(60), Image.open(BytesIO(face)).size
    Timer(0.3, deadline.cancel).start()
    with use_deadline(deadline), pytest.raises(DeadlineExceeded):
        embedder.verify_many(face, [face] * 1000)
    assert deadline._n_pixels < 1000 * prod(width_height)  # not all were decoded
    assert embedder.verify(face, face).same


def n_photos() -> int:
    return sum(type(each) is Photo for each in gc.get_objects())


def test_an_error_that_is_kept_holds_no_picture(embedder: FaceEmbedder, face: bytes) -> None:
    gc.collect()
    before = n_photos()
    batch = embedder.verify_many(face, [plain(200), plain(300)])
    assert [type(each) for each in batch.results] == [NoFace, NoFace]
    assert n_photos() == before


class WithoutMemory:
    """A Decoder whose photos need more memory than there is."""

    @contextmanager
    def __call__(self, _: bytes) -> Iterator[Photo]:
        yield Photo((10**5, 10**5), lambda _: Image.frombytes("RGB", (1, 1), bytearray(2**62)))

    def close(self) -> None: ...


def test_too_little_memory_is_told_as_such(face: bytes) -> None:
    with load() as embedder:
        embedder._preprocessor._decoder = WithoutMemory()
        with pytest.raises(OutOfMemory, match="too little memory is left"):
            embedder.verify(face, face)
