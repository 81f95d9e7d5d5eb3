"""The time of `visavis --help`, and of the service's start with OpenVINO and torch, with its memory and disk space.

Usage: python benchmarks/start.py [--rounds N]. Each start is a new process, and the runtimes take turns. Memory is the
resident set of the process after 20 verifications of two example photos. Linux only.
"""

import argparse
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import httpx2

FACES = Path(__file__).parent.parent / "examples" / "faces"
VISAVIS = Path(sys.executable).parent / "visavis"
RUNTIMES = ("openvino", "torch")
N_VERIFICATIONS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    helping = [seconds_of_help() for _ in range(asked.rounds + 1)][1:]
    print(f"--help: {statistics.median(helping):.2f} s ({min(helping):.2f} to {max(helping):.2f})")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in RUNTIMES}
    for number in range(asked.rounds + 1):
        for name in RUNTIMES:
            measured = start(name)
            if number:  # the first round reads the files from the disk
                found[name].append(measured)
    for name, rounds in found.items():
        seconds, memory = zip(*rounds, strict=True)
        print(
            f"{name}: ready after {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{statistics.median(memory):.0f} MiB ({min(memory):.0f} to {max(memory):.0f}), "
            f"{on_the_disk(name):.0f} MiB on the disk"
        )


def seconds_of_help() -> float:
    begun = time.perf_counter()
    subprocess.run([str(VISAVIS), "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def start(runtime: str) -> tuple[float, float]:
    """Seconds until it is ready, and MiB that it holds once it has worked."""
    begun = time.perf_counter()
    command = [str(VISAVIS), "serve", "--port", "0", "--runtime", runtime]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = address(server)
            seconds = time.perf_counter() - begun
            verify(url)
            return seconds, resident_mib(server.pid)
        finally:
            server.terminate()


def address(server: "subprocess.Popen[str]") -> str:
    for line in server.stderr or ():
        if " ready on " in line:
            return line.partition(" ready on ")[2].split()[0]
    sys.exit(f"the service ended by itself, with exit status {server.wait()}")


def verify(url: str) -> None:
    photos = {
        role: (FACES / f"001-{name}.jpg").read_bytes()
        for role, name in (("probe", "neutral"), ("reference", "smiling"))
    }
    for _ in range(N_VERIFICATIONS):
        httpx2.post(f"{url}/v1/verify", files=photos, timeout=60).raise_for_status()


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (each for each in lines if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def on_the_disk(package: str) -> float:
    """MiB of an installed package, without what it needs itself."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed; run: make setup")
    return sum(path.stat().st_size for path in Path(spec.origin).parent.rglob("*") if path.is_file()) / 2**20


if __name__ == "__main__":
    main()
