"""The worker's side of a race: it reads requests as lines of JSON and answers each with a line of JSON.

The rivals' interpreters run it too, so it needs only Python.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Protocol, runtime_checkable


class Pipeline(Protocol):
    """A pipeline in a race."""

    def facts(self) -> dict[str, object]:
        """Versions, and by what it computes."""

    def verify(self, probe: bytes, reference: bytes) -> bool:
        """Decide for two image files; raises the pipeline's own error if it cannot."""

    def network(self) -> object:
        """One pass of its network over one face, cut and aligned already."""


@runtime_checkable
class Embedding(Protocol):
    """A pipeline whose accuracy can be measured."""

    def embedding(self, photo: bytes) -> list[float]:
        """Embed the face nearest the centre; raises the pipeline's own error if there is none."""


class Turns:
    """Holds the photographs' bytes, and times what is asked for."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._pairs: list[tuple[bytes, bytes]] = []

    def facts(self) -> dict[str, object]:
        return self._pipeline.facts()

    def read(self, pairs: list[list[str]]) -> int:
        self._pairs = [(Path(probe).read_bytes(), Path(reference).read_bytes()) for probe, reference in pairs]
        return len(self._pairs)

    def verify(self, number: int) -> dict[str, object]:
        """Return milliseconds from bytes to decision, and the decision, or the name of the error."""
        probe, reference = self._pairs[number % len(self._pairs)]
        start = time.perf_counter()
        try:
            told: object = self._pipeline.verify(probe, reference)
        except Exception as error:  # noqa: BLE001 - each pipeline has its own errors
            told = type(error).__name__
        return {"ms": 1e3 * (time.perf_counter() - start), "told": told}

    def embedding(self, photo: str) -> list[float] | str:
        """Return the embedding, or the name of the error."""
        if not isinstance(self._pipeline, Embedding):
            raise TypeError(f"{type(self._pipeline).__name__} gives no embeddings")
        try:
            return self._pipeline.embedding(Path(photo).read_bytes())
        except Exception as error:  # noqa: BLE001 - each pipeline has its own errors
            return type(error).__name__

    def network(self) -> float:
        start = time.perf_counter()
        self._pipeline.network()
        return 1e3 * (time.perf_counter() - start)

    def rate(self, n_threads: int, seconds: float) -> float:
        """Pairs per second of N threads, each starting the next pair when one is done."""
        counts = [0] * n_threads
        start = time.perf_counter()

        def work(place: int) -> None:
            while time.perf_counter() - start < seconds:
                self._pipeline.verify(*self._pairs[(place + counts[place]) % len(self._pairs)])
                counts[place] += 1

        threads = [threading.Thread(target=work, args=(place,)) for place in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - start)


def answer(pipeline: Pipeline) -> None:
    """Answer until the race closes the pipe."""
    turns, answers = Turns(pipeline), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answers.write(json.dumps(getattr(turns, name)(*arguments)) + "\n")
        answers.flush()
