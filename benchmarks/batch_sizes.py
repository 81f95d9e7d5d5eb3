"""Time and memory of the built-in network by the largest number of chips in a pass.

    python benchmarks/batch_sizes.py [--rounds 12]

The sizes take turns. Memory is what the process has more after it embedded CHIPS chips for the first time.
"""

import multiprocessing
import random
import statistics
import time
from collections import defaultdict
from itertools import product

import click
import numpy as np

from embedder import load
from embedder.runtime import runtime
from service.telemetry.machine import MIB, memory_of

SIZES = (4, 8, 16, 32, 64)
CHIPS = (2, 17, 81)  # a verification, one with 16 references, a saliency map


def memory_mib(size: int) -> float:
    runtime.MAX_BATCH = size
    with load() as embedder:
        chips = random_chips(max(CHIPS), embedder.card.alignment.chip_size_px)
        embedder.embed_chips(chips[:1])
        before = memory_of(multiprocessing.current_process().pid or 0)
        embedder.embed_chips(chips)
        return (memory_of(multiprocessing.current_process().pid or 0) - before) / MIB


def random_chips(n: int, side_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side_px, side_px, 3), np.uint8)


@click.command()
@click.option("--rounds", default=12)
def main(rounds: int) -> None:
    """Print the median time of CHIPS chips by the largest number in a pass, and the memory that it takes."""
    start = multiprocessing.get_context("spawn")
    memory = {}
    for size in SIZES:
        with start.Pool(1) as process:
            memory[size] = process.apply(memory_mib, (size,))
    times: dict[tuple[int, int], list[float]] = defaultdict(list)
    with load() as embedder:
        chips = random_chips(max(CHIPS), embedder.card.alignment.chip_size_px)
        for _ in range(rounds):
            for size, n in random.sample(list(product(SIZES, CHIPS)), len(SIZES) * len(CHIPS)):
                runtime.MAX_BATCH = size
                began = time.perf_counter()
                embedder.embed_chips(chips[:n])
                times[size, n].append(1000 * (time.perf_counter() - began))
    print("largest pass |", " | ".join(f"{n} chips, ms" for n in CHIPS), "| memory, MiB")
    for size in SIZES:
        print(f"{size:12} |", " | ".join(f"{statistics.median(times[size, n]):.0f}" for n in CHIPS), end="")
        print(f" | {memory[size]:.0f}")


if __name__ == "__main__":
    main()
