"""What decoding in processes of its own costs a verification, in time and memory.

Usage: python benchmarks/decoder_pool.py [--rounds N] [--seconds S]. Two embedders of the built-in model take turns in
this process: one decodes here, the other in a DecoderPool as the service does. A turn lasts S seconds, with one client
or with eight threads. Processor time is that of this process and of the pool's. Each ratio is that of the medians over
the rounds, the pool's to the other's. Linux only.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from embedder import FaceEmbedder, load, n_cores
from service.telemetry.machine import MIB, memory_of, processes_from

FACES = Path(__file__).parent.parent / "examples" / "faces"
SIZES = {"250 px": (250, 250), "800 px": (800, 800), "12 megapixels": (4000, 3000)}
N_CLIENTS = (1, 8)
N_PROCESSES = n_cores() + 1  # as the service starts with its default settings


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds for one call."""

    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.2)
    asked = parser.parse_args()
    with load() as here, load(decoding_processes=N_PROCESSES) as pool:
        server = pool._preprocessor._decoder._server._process.pid  # noqa: SLF001 - it is measured, not used

        def rounds(calls: list[partial[object]], n_clients: int) -> str:
            return told([[turn(call, server, n_clients, asked.seconds) for call in calls] for _ in range(asked.rounds)])

        for name, size in SIZES.items():
            photos = [photo(f"001-{each}", size) for each in ("neutral", "smiling")]
            if here.verify(*photos).distance != pool.verify(*photos).distance:
                raise SystemExit("the answers differ")
            print(f"{name}, {len(photos[0]) / 1000:,.0f} kB")
            decoding = [partial(decode, embedder, photos[0]) for embedder in (here, pool)]
            print(f"  decoding alone: {rounds(decoding, 1)}", flush=True)
            verifying = [partial(embedder.verify, *photos) for embedder in (here, pool)]
            for n_clients in N_CLIENTS:
                print(f"  verifying, {n_clients} at a time: {rounds(verifying, n_clients)}", flush=True)
        for pid in processes_from(server):
            print(f"{'server' if pid == server else 'worker'}: {memory_of(pid) / MIB:.1f} MiB")


def decode(embedder: FaceEmbedder, image: bytes) -> None:
    with embedder._preprocessor._decoder(image):  # noqa: SLF001 - it is measured, not used
        pass


def told(rounds: list[list[Turn]]) -> str:
    here, pool = zip(*rounds, strict=True)
    processor = compared([each.cpu_s for each in here], [each.cpu_s for each in pool])
    wall = compared([each.wall_s for each in here], [each.wall_s for each in pool])
    return f"processor {processor}; wall {wall}"


def compared(here: list[float], pool: list[float]) -> str:
    one, other = statistics.median(here), statistics.median(pool)
    return f"{1000 * one:.2f} -> {1000 * other:.2f} ms, ratio {other / one:.3f}"


def photo(name: str, size: tuple[int, int]) -> bytes:
    """A photo of this size, with some noise, as cameras add it."""
    picture = Image.open(FACES / f"{name}.jpg").resize(size, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 2, (size[1], size[0], 1))
    out = BytesIO()
    Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def turn(call: Callable[[], object], server: int, n_clients: int, seconds: float) -> Turn:
    call()
    cpu_before, begun = cpu_s(server), time.perf_counter()
    end = begun + seconds

    def client(_: int) -> int:
        n_done = 0
        while time.perf_counter() < end:
            call()
            n_done += 1
        return n_done

    with ThreadPoolExecutor(n_clients) as threads:
        n_done = sum(threads.map(client, range(n_clients)))
    return Turn((time.perf_counter() - begun) / n_done, (cpu_s(server) - cpu_before) / n_done)


def cpu_s(server: int) -> float:
    """Processor time of this process and of the pool's."""
    others = [Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0] for pid in processes_from(server)]
    return time.process_time() + sum(map(int, others)) / 1e9


if __name__ == "__main__":
    main()
