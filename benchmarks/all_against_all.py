"""Time and memory of comparing all embeddings with all, for 4,992 and 50,000 synthetic embeddings.

Usage: python benchmarks/all_against_all.py. The time of embedding photos is not included; the bootstrap is timed
separately. Each size runs in its own process, which gives its peak memory.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from train.evaluation.all_pairs import compare_all
from train.evaluation.bootstrap import Resampling
from train.evaluation.measure import TarAt, eer, measure
from train.evaluation.scores import Penalties

SIZES = (4_992, 50_000)
PHOTOS_EACH = 3


def people(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings that lie about as far apart as those of real faces do."""
    generator = np.random.default_rng(0)
    identities = np.arange(n, dtype=np.int32) // PHOTOS_EACH
    centres = generator.normal(scale=0.05, size=(identities[-1] + 1, 128))
    vectors = centres[identities] + generator.normal(scale=0.03, size=(n, 128))
    return vectors.astype(np.float32), identities


def penalties(n: int) -> Penalties:
    """Faces of photos of which a half cost something."""
    return Penalties(np.maximum(np.random.default_rng(1).uniform(-0.1, 0.1, (1, n)), 0))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(n: int) -> None:
    vectors, identities = people(n)
    before = peak_mib()
    start = time.perf_counter()
    scores = compare_all(vectors, identities, seed=0)
    compared = time.perf_counter()
    print(f"{n:,} embeddings, {n * (n - 1) // 2:,} comparisons: {compared - start:.1f} s", flush=True)
    compare_all(vectors, identities, seed=0, penalties=penalties(n))
    print(f"  with penalties for poor photos: {time.perf_counter() - compared:.1f} s", flush=True)
    print(f"  peak memory {peak_mib():.0f} MiB ({before:.0f} MiB before)")
    print(f"  {len(scores.impostor.sample.values):,} impostor comparisons kept by name", flush=True)
    resampling = Resampling()
    begun = time.perf_counter()
    measure(scores, {"eer": eer, "tar": TarAt((1e-3, 1e-4))}, resampling)
    seconds = time.perf_counter() - begun
    print(f"  bootstrap, {resampling.n_resamples:,} resamples: {seconds:.1f} s, peak memory {peak_mib():.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, help="Run only this size, in this process.")
    n = parser.parse_args().faces
    if n is not None:
        run(n)
        return
    for size in SIZES:
        subprocess.run([sys.executable, __file__, "--faces", str(size)], check=True)


if __name__ == "__main__":
    main()
