"""Speed and memory of identification in process, with galleries of 1,000, 100,000 and 1,000,000 templates.

Usage: python benchmarks/identification_speed.py --data DIR [--seconds S]. DIR contains lfw-view1 as described in
CONTRIBUTING.md. The templates are embeddings of real faces with noise added, one a person; so are the
probes. Each size runs in a process of its own, without the network: finding and embedding the face of a probe is not
included. Searches take turns with two measurements of the machine: how fast all cores read the templates' 8-bit codes,
and how fast they compute dot products of codes that lie in the cache. The lower of the two bounds a search.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import numkong
import numpy as np

from embedder import Box, Embedding, Face, ModelCard, Quality, Sample, SampleError, Timings, load, n_cores, read_bundle
from gallery import IdentifyOptions, TemplateIndex, identify, strictest_fpir
from gallery.blocks import BLOCK
from gallery.index import GROUP

SIZES = 1_000, 100_000, 1_000_000
SPREAD = 0.7  # length of the noise, of embeddings of length 1
N_FACES = 500
IN_CACHE = 4096  # templates, of which the codes fit into a core's cache
GB = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="Of searches at each size.")
    parser.add_argument("--size", type=int, help="Run only this size, in this process.")
    parser.add_argument("--faces", type=Path, help="The real embeddings, for --size.")
    given = parser.parse_args()
    if given.size is not None:
        run(given.size, np.load(given.faces), given.seconds)
        return
    with TemporaryDirectory() as folder:
        faces = Path(folder) / "faces.npy"
        np.save(faces, real_faces(given.data / "lfw-view1" / "lfw"))
        for size in SIZES:
            command = [sys.executable, __file__, "--size", str(size), "--faces", str(faces)]
            subprocess.run([*command, "--seconds", str(given.seconds)], check=True)


def real_faces(folder: Path) -> np.ndarray:
    """The embeddings of a few hundred people: (n, 128)."""
    photos = [path.read_bytes() for path in sorted(folder.glob("*/*_0001.jpg"))[:N_FACES]]
    with load() as embedder:
        parts = [embedder.embed_many(photos[start : start + 50], face="center") for start in range(0, len(photos), 50)]
    usable = [each for part in parts for each in part.results if not isinstance(each, SampleError)]
    return np.array([embedding.vector for (embedding,) in usable])


def around(faces: np.ndarray, n: int, generator: np.random.Generator) -> np.ndarray:
    """Embeddings near real ones, of length 1: (n, 128)."""
    noise = generator.normal(0, SPREAD / np.sqrt(128), (n, 128)).astype(np.float32)
    noise += faces[generator.integers(0, len(faces), n)]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return noise


def run(size: int, faces: np.ndarray, seconds: float) -> None:
    card, generator = read_bundle().card, np.random.default_rng(0)
    before = memory_mib()
    index, start_s = filled(size, faces, card, generator)
    held = memory_mib() - before
    probes = [embedding(vector, card) for vector in around(faces, 100, generator)]
    options = IdentifyOptions(fpir=max(1e-2, strictest_fpir(card, size) or 1))
    times = {"identify": [], "read": [], "dots": []}
    works = {
        "identify": lambda: identify(index, probes[len(times["identify"]) % len(probes)], card, people_of, options),
        "read": on_all_cores(parts(size), lambda part: part.max()),
        "dots": on_all_cores(*dot_products(generator)),
    }
    take_turns(works, times, seconds)
    report(size, start_s, held, times)


def filled(
    size: int, faces: np.ndarray, card: ModelCard, generator: np.random.Generator
) -> tuple[TemplateIndex, float]:
    """An index with that many templates, and the time that adding them took."""
    index, seconds = TemplateIndex(len(card.quality_penalties), card.architecture.embedding_size), 0.0
    for start in range(0, size, BLOCK):
        n = min(BLOCK, size - start)
        ids = [UUID(bytes=generator.bytes(16)).hex for _ in range(n)]
        vectors, penalties = around(faces, n, generator), np.zeros((n, len(card.quality_penalties)))
        begun = time.perf_counter()
        index.add(ids, range(start, start + n), vectors, penalties)
        seconds += time.perf_counter() - begun
    return index, seconds


def people_of(templates: Sequence[str]) -> dict[str, str]:
    """Names of people, which a store would be asked for."""
    return dict(zip(templates, templates, strict=True))


def embedding(vector: np.ndarray, card: ModelCard) -> Embedding:
    """An embedding of a good photo."""
    quality = Quality(60, 0.7, 0, 128, 50, 0, 0, 1, 1, 1)
    sample = Sample(Face(Box(0, 0, 100, 100), (), 1), "only", 1, quality)
    return Embedding(vector, card.identity("f32"), sample, Timings(0, 0, 0))


def parts(size: int) -> list[np.ndarray]:
    """As many bytes as the codes of the templates have, in a part for each core."""
    codes = np.ones(size * 128 // 8, np.uint64)
    return np.array_split(codes, n_cores())


def dot_products(generator: np.random.Generator) -> tuple[list[np.ndarray], Callable[[np.ndarray], object]]:
    """Codes that fit into each core's cache, and the same kernel as that of a search."""
    codes = generator.integers(-127, 128, (IN_CACHE // GROUP, GROUP * 128), np.int8)
    packed = numkong.dots_pack(np.ones((GROUP, GROUP * 128), np.int8))
    return [codes.copy() for _ in range(n_cores())], lambda part: [numkong.dots_packed(part, packed) for _ in range(50)]


def on_all_cores(items: Sequence[np.ndarray], task: Callable[[np.ndarray], object]) -> Callable[[], object]:
    threads = ThreadPoolExecutor(len(items))
    return lambda: list(threads.map(task, items))


def take_turns(works: dict[str, Callable[[], object]], times: dict[str, list[float]], seconds: float) -> None:
    for work in works.values():
        work()  # warms up
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)


def report(size: int, start_s: float, held_mib: float, times: dict[str, list[float]]) -> None:
    p50, p99 = np.quantile(times["identify"], [0.5, 0.99]).tolist()
    n_bytes = size * 128
    bandwidth = n_bytes / np.median(times["read"])
    rate = 50 * n_cores() * IN_CACHE * 128 / np.median(times["dots"])
    print(
        f"{size:,} templates: p50 {1e3 * p50:.2f} ms, p99 {1e3 * p99:.2f} ms over {len(times['identify']):,} probes; "
        f"start {start_s:.2f} s; the index holds {held_mib:,.0f} MiB, peak of the process "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB\n"
        f"  a search reads {n_bytes / p50 / GB:.1f} GB/s of codes: {n_bytes / p50 / min(bandwidth, rate):.0%} of what "
        f"the machine can: it reads {bandwidth / GB:.1f} GB/s, and multiplies {rate / GB:.1f} GB/s "
        f"({rate / 128 / GB:.2f} billion dot products a second)",
        flush=True,
    )


def memory_mib() -> float:
    """The memory of this process now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
