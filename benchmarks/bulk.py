"""`visavis embed --out` over LFW View 1: speed, use of the cores, memory, and resuming after SIGKILL.

Usage: python benchmarks/bulk.py --data DIR [--photos N]. DIR contains lfw-view1/lfw. One run is undisturbed, another
one is stopped by SIGKILL midway and then started again. Prints photos per second, the CPU seconds of the stages as a
share of the cores' time, the CPU time of all processes of the command and of other work on the machine, the peak memory
of all its processes together, and whether both runs have the same rows. The figures in docs/bulk.md are printed here.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np
from pyarrow import parquet

VISAVIS = Path(sys.executable).parent / "visavis"
SAMPLE_EVERY_S = 1.0  # reading it costs the kernel a walk over all pages
MIB = 2**20


@dataclass
class Memory:
    """The largest sum of resident memory of a process and those below it; pages they share count once each."""

    pid: int
    peak_bytes: int = 0
    is_over: Event = field(default_factory=Event)

    def watch(self) -> None:
        while not self.is_over.wait(SAMPLE_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(proportional_bytes, family(self.pid))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, help="only the first N photos")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = chosen(asked.data / "lfw-view1" / "lfw", Path(folder) / "photos", asked.photos)
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        measure(photos, whole)
        kill_midway(photos, killed, len(parts_in(whole)))
        subprocess.run([VISAVIS, "embed", photos, "--out", killed], check=True, stderr=subprocess.DEVNULL)
        compare(whole, killed)


def chosen(lfw: Path, links: Path, n_photos: int | None) -> Path:
    if n_photos is None:
        return lfw
    links.mkdir()
    for photo in sorted(lfw.rglob("*.jpg"))[:n_photos]:
        (links / photo.name).symlink_to(photo.resolve())
    return links


def measure(photos: Path, out: Path) -> None:
    command = [str(VISAVIS), "embed", str(photos), "--out", str(out), "--json"]
    ours, all_work, start = os.times(), busy_s(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        memory = Memory(process.pid)
        watching = Thread(target=memory.watch)
        watching.start()
        told = json.loads(process.communicate()[0])
        memory.is_over.set()
        watching.join()
    wall_s, now = time.perf_counter() - start, os.times()
    used_s = now.children_user + now.children_system - ours.children_user - ours.children_system
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in told["cpu_s"].items())
    print(f"{told['photos']:,} photos, {told['rows']:,} embeddings, failed: {told['failed']}")
    print(f"{told['photos_s']:.1f} photos/s ({told['wall_s']:.1f} s); {wall_s:.1f} s with start and end")
    print(
        f"CPU seconds of the stages: {stages}; {told['cpu_share']:.3f} of {told['cores']} cores' time; "
        f"{told['photos'] / sum(told['cpu_s'].values()):.1f} photos per CPU second"
    )
    cores_s = told["cores"] * wall_s
    others = (busy_s() - all_work - used_s) / cores_s
    print(f"all processes of the command: {used_s / cores_s:.3f}, start and end included; other work: {others:.3f}")
    print(f"memory of all its processes together, at most: {memory.peak_bytes / MIB:,.0f} MiB", flush=True)


def kill_midway(photos: Path, out: Path, n_parts: int) -> None:
    """Kill a run in the midst of the part after its first."""
    start = time.monotonic()
    with subprocess.Popen([VISAVIS, "embed", photos, "--out", out], stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not parts_in(out):
            time.sleep(0.01)
        time.sleep(0.5 * (time.monotonic() - start))
        process.kill()
    if len(parts_in(out)) == n_parts:
        sys.exit("the run ended before it could be killed: it takes more photos than one part holds (2,048)")
    print(f"killed when {len(parts_in(out))} of {n_parts} parts were written", flush=True)


def parts_in(out: Path) -> list[Path]:
    return list(out.glob("part-*"))


def compare(whole: Path, killed: Path) -> None:
    one, other = (parquet.read_table(out) for out in (whole, killed))
    same = one.drop_columns("embedding").equals(other.drop_columns("embedding"))
    apart = np.abs(vectors(one) - vectors(other)).max()
    failed = [sorted(path.read_bytes() for path in out.glob("_failed-*")) for out in (whole, killed)]
    print(
        f"killed and resumed: {other.num_rows:,} rows, {len(set(other['path'].to_pylist())):,} different paths; "
        f"all but embeddings equal: {same}; failures equal: {failed[0] == failed[1]}; embeddings differ by {apart:.1e}"
    )


def vectors(table) -> np.ndarray:  # noqa: ANN001 - pyarrow carries no types
    return table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 128)


def family(pid: int) -> list[int]:
    """Return a process and those that it started."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in below for each in family(int(child)))]


def proportional_bytes(pid: int) -> int:
    """Resident memory, of shared pages this process's share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def busy_s() -> float:
    """Processor seconds of all processes of the machine since it was started, waiting and idling left out."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
