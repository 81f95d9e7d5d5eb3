"""A closed FaceEmbedder has no threads left, and says that it is closed."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedder import FaceEmbedder, load
from embedder.explain import Explainer

ROOT = Path(__file__).parents[2]
LET_GO_IN_A_THREAD = """
import gc, os, signal
from concurrent.futures import ThreadPoolExecutor
from embedder import load

models = [load()]
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))

def let_go():
    models.pop().close()
    gc.collect()

with ThreadPoolExecutor() as threads:
    threads.submit(let_go).result()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.fixture(scope="module")
def photo(examples: Path) -> bytes:
    return (examples / "001-neutral.jpg").read_bytes()


@pytest.fixture(scope="module")
def closed() -> FaceEmbedder:
    with load() as embedder:
        pass
    return embedder


def photo_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("visavis-photo")}


def test_the_end_of_a_with_ends_the_threads(photo: bytes) -> None:
    before = photo_threads()
    with load() as embedder:
        embedder.verify(photo, photo)
        assert photo_threads() - before
    assert photo_threads() <= before
    embedder.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda embedder, photo: embedder.detect(photo),
        lambda embedder, photo: embedder.chip(photo),
        lambda embedder, photo: embedder.embed(photo),
        lambda embedder, photo: embedder.verify(photo, photo),
        lambda embedder, photo: embedder.verify_many(photo, []),
        lambda embedder, photo: Explainer(embedder).explain(photo, photo),
        lambda embedder, _: embedder.embed_chips(np.zeros((0, 112, 112, 3), np.uint8)),
    ],
    ids=["detect", "chip", "embed", "verify", "verify_many", "explain", "embed_chips"],
)
def test_a_closed_one_says_so(
    closed: FaceEmbedder, photo: bytes, call: Callable[[FaceEmbedder, bytes], object]
) -> None:
    with pytest.raises(ValueError, match="this FaceEmbedder is closed: load the model again"):
        call(closed, photo)


def test_a_signal_is_handled_after_another_thread_has_let_a_model_go() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LET_GO_IN_A_THREAD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "handled\n")
