"""Faces that wait together go through the network together, and get what they would have got alone."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Semaphore
from typing import Any

import numpy as np
import pytest

from embedder import BUILT_IN, FaceEmbedder, read_bundle
from embedder.runtime.openvino import OpenVinoRuntime
from embedder.runtime.runtime import MAX_BATCH, DynamicBatcher, EmbeddingSession, Pass

PATIENCE_S = 30


class Queue(deque[Any]):
    """A queue that tells of each who comes."""

    def __init__(self) -> None:
        super().__init__()
        self.came = Semaphore(0)

    def append(self, item: object) -> None:
        super().append(item)
        self.came.release()


@pytest.fixture(scope="module")
def chips(embedder: FaceEmbedder, examples: Path) -> np.ndarray:
    photos = sorted(examples.glob("*.jpg"))
    return np.stack([embedder.chip(photo.read_bytes()).pixels for photo in photos])


@pytest.fixture(scope="module")
def network() -> EmbeddingSession:
    return OpenVinoRuntime().embedding(read_bundle(BUILT_IN))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8, 16, 33, 64, 70])
def test_no_size_of_a_batch_changes_an_embedding(network: EmbeddingSession, chips: np.ndarray, n: int) -> None:
    alone = np.concatenate([network(chip[None]) for chip in chips])
    together = network(np.resize(chips, (n, *chips.shape[1:])))
    assert np.abs(together - np.resize(alone, (n, 128))).max() <= 1e-5


def test_who_waits_together_goes_together_and_gets_the_own_answer(network: EmbeddingSession, chips: np.ndarray) -> None:
    alone = network(chips)
    started, go_on, sizes = Event(), Event(), []

    def slow(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        sizes.append(len(pixels))
        started.set()
        assert go_on.wait(PATIENCE_S)
        return (network(pixels),)

    gathering, queue = DynamicBatcher(slow), Queue()
    gathering._waiting = queue
    with ThreadPoolExecutor(len(chips)) as threads:
        first = threads.submit(gathering, chips[:1])
        assert started.wait(PATIENCE_S)
        others = [threads.submit(gathering, chip[None]) for chip in chips[1:]]
        assert all(queue.came.acquire(timeout=PATIENCE_S) for _ in chips)
        go_on.set()
        found = np.concatenate([each.result(PATIENCE_S)[0] for each in (first, *others)])
    assert sizes == [1, len(chips) - 1]
    assert np.abs(found - alone).max() <= 1e-5


def test_no_pass_is_larger_than_the_bound_and_none_is_lost() -> None:
    sizes = []

    def double(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        sizes.append(len(pixels))
        return (pixels.astype(np.float32) * 2,)

    gathering = DynamicBatcher(double)
    together = Barrier(16, timeout=PATIENCE_S)

    def ask(number: int) -> bool:
        together.wait()
        pixels = np.full((3, 1), number, np.uint8)
        return bool((gathering(pixels)[0] == 2 * number).all())

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(16)))
    assert sum(sizes) == 16 * 3
    assert max(sizes) <= MAX_BATCH


def failing(fault: Exception) -> Pass:
    def fail(_: np.ndarray) -> tuple[np.ndarray, ...]:
        raise fault

    return fail


def test_a_pass_that_fails_fails_for_each_and_the_next_goes_on() -> None:
    gathering = DynamicBatcher(failing(ValueError("broken")))
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            gathering(np.zeros((1, 1), np.uint8))
