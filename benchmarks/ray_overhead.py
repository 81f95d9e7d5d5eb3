"""`visavis embed --engine ray` beside the process pool, on the same cores and photos: speed, and equal rows.

Usage: python benchmarks/ray_overhead.py --data DIR [--photos N] [--rounds N] [--kill]. DIR contains lfw-view1/lfw. Both
engines run in turn; Ray on a cluster of two nodes with one core each, which is started once, on loopback addresses. So
this needs two cores. Prints photos per second of each run, the medians, their ratio, and whether the rows are equal.
With --kill, a node is killed midway by SIGKILL, then the driver, which is started again: the rows must be the same.
The figures in docs/bulk.md are printed here.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from bulk import VISAVIS, chosen, parts_in, vectors
from pyarrow import parquet

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster  # after that, so that Ray sends nothing

HEAD, OTHER = "127.0.0.2", "127.0.0.3"
STORE_BYTES = 200 * 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, two_nodes() as cluster:
        photos = chosen(asked.data / "lfw-view1" / "lfw", Path(folder) / "photos", asked.photos)
        race(photos, Path(folder), cluster.address, asked.rounds)
        if asked.kill:
            kill_driver(photos, Path(folder), cluster.address)
            kill_node(photos, Path(folder), cluster)


@contextmanager
def two_nodes() -> Iterator[Cluster]:
    cluster = Cluster()
    for address in (HEAD, OTHER):
        cluster.add_node(num_cpus=1, node_ip_address=address, object_store_memory=STORE_BYTES, include_dashboard=False)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def race(photos: Path, folder: Path, address: str, n_rounds: int) -> None:
    engines = {"processes": [], "ray": ["--engine", "ray", "--address", address]}
    rates: dict[str, list[float]] = {engine: [] for engine in engines}
    for number in range(n_rounds):
        for engine, words in engines.items():
            told = embed(photos, folder / f"{engine}-{number}", words)
            rates[engine].append(told["photos_s"])
            stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in told["cpu_s"].items())
            print(f"{engine}: {told['photos_s']:.1f} photos/s; CPU seconds: {stages}", flush=True)
    of_processes, of_ray = median(rates["processes"]), median(rates["ray"])
    print(
        f"median of {n_rounds} rounds over {told['photos']:,} photos: processes {of_processes:.1f} photos/s, "
        f"ray {of_ray:.1f} photos/s; overhead of ray: {of_processes / of_ray - 1:+.1%}"
    )
    for number in range(n_rounds):
        compare("ray", folder / "processes-0", folder / f"ray-{number}")


def embed(photos: Path, out: Path, words: list[str]) -> dict:
    command = [str(VISAVIS), "embed", str(photos), "--out", str(out), "--json", *words]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


@contextmanager
def run_until_a_part_is_written(photos: Path, out: Path, address: str) -> Iterator[subprocess.Popen]:
    command = [str(VISAVIS), "embed", str(photos), "--out", str(out), "--engine", "ray", "--address", address]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not parts_in(out):
            time.sleep(0.01)
        time.sleep(0.5 * (time.monotonic() - start))
        if process.poll() is not None:
            sys.exit("the run ended before anything could be killed: it takes more photos than two parts (4,096)")
        yield process


def kill_driver(photos: Path, folder: Path, address: str) -> None:
    out = folder / "driver-killed"
    with run_until_a_part_is_written(photos, out, address) as process:
        process.kill()
    print(f"driver killed when {len(parts_in(out))} parts were written", flush=True)
    embed(photos, out, ["--engine", "ray", "--address", address])
    compare("driver killed, and started again", folder / "processes-0", out)


def kill_node(photos: Path, folder: Path, cluster: Cluster) -> None:
    out = folder / "node-killed"
    with run_until_a_part_is_written(photos, out, cluster.address) as process:
        n_parts, start = len(parts_in(out)), time.monotonic()
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        status = process.wait()
    print(f"node killed when {n_parts} parts were written; status {status} {time.monotonic() - start:.0f} s later")
    compare("node killed", folder / "processes-0", out)


def compare(what: str, ours: Path, theirs: Path) -> None:
    one, other = (parquet.read_table(out) for out in (ours, theirs))
    same = one.drop_columns("embedding").equals(other.drop_columns("embedding"))
    failed = [sorted(path.read_bytes() for path in out.glob("_failed-*")) for out in (ours, theirs)]
    apart = np.abs(vectors(one) - vectors(other)).max()
    print(
        f"{what}: {other.num_rows:,} rows, {len(set(other['path'].to_pylist())):,} different paths; all but embeddings "
        f"equal: {same}; failures equal: {failed[0] == failed[1]}; embeddings differ by {apart:.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
