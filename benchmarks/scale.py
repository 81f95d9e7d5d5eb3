"""What a bulk run over 10 million and over 1 billion photos costs, from rates that are measured here.

Usage: python benchmarks/scale.py --data DIR [--photos N] [--names N] [--parts N] [--files N]. DIR contains
lfw-view1/lfw, of which N photos are embedded. Names, folders and parts are made up: N names are listed, N files lie in
one folder, and N copies of a part of 2,048 faces are checked and joined from shards, from the page cache. Rates are
those of processor time, so neither disks nor other work on the machine are in them. Prints each rate, the memory of
what grows with the number of photos, and then the two runs. The figures in docs/scale.md are printed here; the memory
of a whole run is printed by benchmarks/bulk.py.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from bulk import chosen

from embedder import MEASURES, Face, Quality, Sample
from embedder.bulk import LocalFolder, LocalPhotos, Shard, merge_shards
from embedder.bulk.manifest import BLOCK, LIST_FILE, Manifest, blocks, manifest_text, read_manifest, write_manifest
from embedder.bulk.parts import done_part, failed_name, part_name, sums_name, write_part
from embedder.bulk.workers import FaceRow
from embedder.types import Box

VISAVIS = Path(sys.executable).parent / "visavis"
GB, TB, HOUR_S = 10**9, 10**12, 3600
N_SHARDS = 4
RUNS = {"10 million": 10**7, "1 billion": 10**9}


@dataclass(frozen=True)
class Cost:
    """What a photo, a name or a part takes, in seconds of processor time and in bytes."""

    embed_s: float  # all stages, per photo
    write_s: float  # of the process that writes, per photo
    photo_bytes: float
    row_bytes: float  # of parts, per photo
    name_bytes: float  # of the list
    list_s: float  # per name
    check_s: float  # per part
    merge_s: float  # per part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=BLOCK)
    parser.add_argument("--names", type=int, default=10**7)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--files", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embedded = measure_run(
            chosen(asked.data / "lfw-view1" / "lfw", folder / "photos", asked.photos), folder / "out"
        )
        listed = measure_list(asked.names, folder)
        measure_folders(asked.files, folder)
        written = measure_write(read_manifest(LocalFolder(folder / "out")), folder / "made")
        joined = measure_parts(asked.parts, folder / "made", folder)
        cost = Cost(**embedded, **listed, **written, **joined)
    for words, n_photos in RUNS.items():
        print_run(words, n_photos, cost)


def measure_run(photos: Path, out: Path) -> dict[str, float]:
    """Embed photos by the command."""
    command = [str(VISAVIS), "embed", str(photos), "--out", str(out), "--json"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    n, stages = told["photos"], told["cpu_s"]
    cpu_s = sum(stages.values())
    parts = sum(path.stat().st_size for path in out.iterdir() if path.name != LIST_FILE)
    source = sum(path.stat().st_size for path in photos.rglob("*.jpg"))
    shares = ", ".join(f"{stage} {1e3 * seconds / n:.2f} ms" for stage, seconds in stages.items())
    used = f"{told['cpu_share']:.0%} of {told['cores']} cores"
    print(f"embedding: {n / cpu_s:.1f} photos per second of a core ({n:,} photos, {used})")
    print(f"processor time of a photo: {shares}")
    print(f"bytes per photo: {source / n:,.0f} of the photo, {parts / n:,.0f} of parts", flush=True)
    return {
        "embed_s": cpu_s / n,
        "photo_bytes": source / n,
        "row_bytes": parts / n,
    }


def measure_list(n: int, folder: Path) -> dict[str, float]:
    """Write and read the list of a run, in a process of its own for the sake of its memory."""
    wrote_s, wrote_mib = alone(write_list, n, folder / LIST_FILE)
    name_bytes = (folder / LIST_FILE).stat().st_size / n
    read_s, read_mib = alone(read_list, folder)
    print(
        f"list of {n:,} names, {name_bytes:.0f} bytes each: written at {n / wrote_s:,.0f} names/s with {wrote_mib:.0f} "
        f"MiB more memory, read at {n / read_s:,.0f} names/s with {read_mib:.0f} MiB",
        flush=True,
    )
    (folder / LIST_FILE).unlink()
    return {"name_bytes": name_bytes, "list_s": wrote_s / n}


def alone(work: Callable[..., None], *words: object) -> tuple[float, float]:
    """Processor seconds of a function, and the MiB that it adds to a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(timed, work, *words).result()


def timed(work: Callable[..., None], *words: object) -> tuple[float, float]:
    start, before = time.process_time(), peak_mib()
    work(*words)
    return time.process_time() - start, peak_mib() - before


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_list(n: int, path: Path) -> None:
    with path.open("wb") as lines:
        manifest_text(names(n), lines, BLOCK)


def names(n: int) -> Iterator[str]:
    return (f"2026/{k // 10**6:04}/{k // 10**3 % 1000:03}/photo-{k:010}.jpg" for k in range(n))


def read_list(folder: Path) -> None:
    for _ in blocks(LocalFolder(folder), BLOCK):
        pass


def measure_folders(n: int, folder: Path) -> None:
    """List photos that lie in one folder, and in folders of a thousand."""
    for words, size in (("one folder", n), ("folders of 1,000", 1000)):
        photos = folder / "listed"
        for k in range(n):
            if k % size == 0:
                (photos / f"{k // size:06}").mkdir(parents=True)
            (photos / f"{k // size:06}" / f"photo-{k:010}.jpg").touch()
        seconds, mib = alone(list_photos, photos)
        print(
            f"{n:,} files in {words}: listed at {n / seconds:,.0f} names/s with {mib:.0f} MiB more memory", flush=True
        )
        shutil.rmtree(photos)


def list_photos(folder: Path) -> None:
    for _ in LocalPhotos.of([folder]).names():
        pass


def measure_write(manifest: Manifest, out: Path) -> dict[str, float]:
    """Write a part of made-up faces."""
    out.mkdir()
    write_manifest(LocalFolder(out), manifest)
    face = Face(Box(10, 20, 30, 40), ((1.0, 2.0),) * 5, 0.9)
    sample = Sample(face, manifest.face, 1, Quality(*[0.5] * len(MEASURES)))
    vectors = np.random.default_rng(0).normal(size=(BLOCK, 128)).astype(np.float32)
    rows = [(FaceRow(name, 0, sample, vector),) for name, vector in zip(names(BLOCK), vectors, strict=True)]
    for _ in range(2):  # the first time also loads libraries
        start = time.process_time()
        write_part(LocalFolder(out), 0, rows, manifest)
        write_s = time.process_time() - start
    print(f"a part is written in {1e3 * write_s:.0f} ms, {BLOCK / write_s:,.0f} photos/s")
    return {"write_s": write_s / BLOCK}


def measure_parts(n: int, out: Path, folder: Path) -> dict[str, float]:
    """Check made-up parts, and join them from shards. All are names of one file."""
    made = read_manifest(LocalFolder(out))
    manifest = made.model_copy(update={"n_photos": n * made.block})
    shards = [
        make_shard(manifest, Shard(number, N_SHARDS), out, folder / f"shard-{number}") for number in range(N_SHARDS)
    ]
    start = time.process_time()
    if not all(done_part(shards[0], number) for number in range(0, n, N_SHARDS)):
        sys.exit("a part that was just made is not as it was made")
    check_s, n_bytes = (time.process_time() - start) / (n / N_SHARDS), (out / part_name(0)).stat().st_size
    print(f"a part of {n_bytes / 1e6:.2f} MB is checked in {1e3 * check_s:.2f} ms, {n_bytes / check_s / 1e6:,.0f} MB/s")
    start = time.process_time()
    merge_shards(shards, LocalFolder(folder / "joined"))
    merge_s = (time.process_time() - start) / n
    print(f"{n:,} such parts of {N_SHARDS} shards are joined in {1e3 * merge_s:.2f} ms each", flush=True)
    return {"check_s": check_s, "merge_s": merge_s}


def make_shard(manifest: Manifest, shard: Shard, out: Path, folder: Path) -> LocalFolder:
    folder.mkdir()
    with (folder / LIST_FILE).open("wb") as lines:
        found = manifest_text(names(manifest.n_photos), lines, manifest.block, shard)
    made = manifest.model_copy(update={"photos": found.digest, "shard": shard})
    write_manifest(LocalFolder(folder), made)
    for number in made.parts:
        for name_of in (part_name, failed_name, sums_name):
            if (out / name_of(0)).exists():
                os.link(out / name_of(0), folder / name_of(number))
    return LocalFolder(folder)


def print_run(words: str, n: int, cost: Cost) -> None:
    n_parts = -(-n // BLOCK)
    print(f"{words} photos:")
    print(f"  {n * cost.embed_s / HOUR_S:,.0f} core-hours: {n * cost.embed_s / 86400 / 64:,.1f} days of 64 cores")
    disk = f"{n_parts:,} parts {size(n * cost.row_bytes)}, list {size(n * cost.name_bytes)}"
    print(f"  photos {size(n * cost.photo_bytes)}, {disk}")
    print(f"  one process: list {hours(n * cost.list_s)}, write parts {hours(n * cost.write_s)}")
    check, merge = hours(n_parts * cost.check_s), hours(n_parts * cost.merge_s)
    print(f"  a resume checks all parts in {check}, a merge joins them in {merge}")
    puts = f"{2 * n_parts:,} to {3 * n_parts:,} PUTs of parts"
    print(f"  on an object store: {n:,} HEADs and GETs each of photos, {puts}")


def size(n_bytes: float) -> str:
    return f"{n_bytes / TB:,.1f} TB" if n_bytes >= TB else f"{n_bytes / GB:,.1f} GB"


def hours(seconds: float) -> str:
    return f"{seconds / HOUR_S:,.1f} h" if seconds >= HOUR_S else f"{seconds / 60:,.1f} min"


if __name__ == "__main__":
    main()
