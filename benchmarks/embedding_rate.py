"""Embedding rate of models in chips per second, against the built-in model.

Usage: python benchmarks/embedding_rate.py [--rounds N] [MODEL ...]. Each model is a bundle. The models take turns to
embed chips of random pixels, of the size in their cards (twice if the card also embeds the mirror image), in batches
of 32 on all cores. Prints the median rate of each and its ratio to the built-in model's, with minimum and maximum.
"""

import argparse
import statistics
import time

import numpy as np

from embedder import Chips, FaceEmbedder, load

BATCH = 32
N_FIRST = 2  # rounds that warm up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    asked = parser.parse_args()
    embedders = {"built-in": load(), **{name: load(name) for name in asked.models}}
    chips = {name: random_chips(embedder) for name, embedder in embedders.items()}
    rates: dict[str, list[float]] = {name: [] for name in embedders}
    for number in range(asked.rounds + N_FIRST):
        for name, embedder in embedders.items():
            rate = rate_of(embedder, chips[name])
            if number >= N_FIRST:
                rates[name].append(rate)
    for name, found in rates.items():
        times = [one / built_in for one, built_in in zip(found, rates["built-in"], strict=True)]
        print(
            f"{name}: {statistics.median(found):,.0f} chips/s, {statistics.median(times):.1f} times the built-in's "
            f"({min(times):.1f} to {max(times):.1f})"
        )


def random_chips(embedder: FaceEmbedder) -> Chips:
    """The same batch for all models whose chips are as large."""
    side = embedder.card.alignment.chip_size_px
    return np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8)


def rate_of(embedder: FaceEmbedder, chips: Chips) -> float:
    """Chips a second, once over the batch."""
    start = time.perf_counter()
    embedder.embed_faces(chips)
    return len(chips) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
