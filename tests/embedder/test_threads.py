"""How many threads a network runs on: the same embeddings, and no core that all processes share."""

import os
import subprocess
import sys

import numpy as np
import pytest

from embedder import FaceEmbedder, RuntimeName, RuntimeOptions, load

CORES_OF_THREADS = """
import os
from threading import Event, Thread
import numpy as np
from embedder import RuntimeOptions, load

embedder, seen, is_over = load(running=RuntimeOptions(threads=1)), set(), Event()

def watch():
    while not is_over.wait(0.002):
        for thread in os.listdir("/proc/self/task"):
            seen.add(tuple(sorted(os.sched_getaffinity(int(thread)))))

watching = Thread(target=watch)
watching.start()
embedder.embed_chips(np.zeros((32, 112, 112, 3), np.uint8))
is_over.set()
watching.join()
print(*seen)
"""


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_one_thread_gives_the_embeddings_of_all(embedder: FaceEmbedder, runtime: RuntimeName) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    chips = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    try:
        alone = load(running=RuntimeOptions(runtime=runtime, threads=1))
        assert np.abs(alone.embed_chips(chips) - embedder.embed_chips(chips)).max() < 1e-5
        assert torch.get_num_threads() == (1 if runtime == "torch" else before)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux" or os.cpu_count() == 1, reason="it takes Linux and two cores to see it")
def test_threads_that_are_counted_are_tied_to_no_core() -> None:
    told = subprocess.run([sys.executable, "-c", CORES_OF_THREADS], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(tuple(sorted(os.sched_getaffinity(0))))
