"""`visavis serve` as a process on a free port, with what it uses: memory of it and its children, and processor time."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from service.telemetry.machine import MIB, memory_of, processes_from

COMMAND = (sys.executable, "-c", "import sys; sys.argv[0] = 'visavis'; from visavis.cli.main import main; main()")
READY = re.compile(r"ready on https?://([0-9.]+):(\d+)")
PATIENCE_S = 60


@dataclass(slots=True)
class RunningService:
    """A service that answers."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    lines: list[str] = field(default_factory=list)  # what it wrote since

    @property
    def host(self) -> str:
        """Host and port, as in a Host header."""
        return f"{self.address[0]}:{self.address[1]}"

    def memory_mib(self) -> float:
        """Memory of all its processes, with memory files; what they share counts once (PSS)."""
        return (sum(map(memory_of, processes_from(self.process.pid))) + _memory_files_bytes(self.process.pid)) / MIB

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(map(_cpu_s, processes_from(self.process.pid)))


def _memory_files_bytes(pid: int) -> int:
    """Bytes in memory files (memfd), each once: they count for no process unless they are mapped."""
    n_bytes = {}
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            if str(file.readlink()).startswith("/memfd:"):
                n_bytes[file.stat().st_ino] = file.stat().st_blocks * 512
    return sum(n_bytes.values())


def _cpu_s(pid: int) -> float:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_service(*options: str, environment: dict[str, str] | None = None) -> Iterator[RunningService]:
    """Start `visavis serve` with these options, wait until it is ready, and stop it at the end."""
    command = [*COMMAND, "serve", "--port", "0", *options]
    env = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stderr is not None  # noqa: S101 - for mypy
        found = next(filter(None, map(READY.search, process.stderr)), None)
        if found is None:
            raise RuntimeError("visavis serve did not start")
        service = RunningService(process, (found[1], int(found[2])))
        threading.Thread(target=lambda: service.lines.extend(process.stderr or ()), daemon=True).start()
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def in_background(*actions: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run each action in a thread of its own; it gets an event that is set when the block ends, and ends then."""
    ended = threading.Event()
    threads = [threading.Thread(target=action, args=(ended,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


@dataclass(slots=True)
class MemorySamples:
    """What a service's memory was, at several times."""

    samples: list[tuple[float, float]] = field(default_factory=list)  # seconds, MiB

    @property
    def peak_mib(self) -> float:
        """The largest of the samples."""
        return max((mib for _, mib in self.samples), default=0.0)


@contextmanager
def watched_memory(service: RunningService, every_s: float = 0.5) -> Iterator[MemorySamples]:
    """Measure a service's memory again and again while the block runs."""
    start, memory = monotonic(), MemorySamples()

    def measure(ended: threading.Event) -> None:
        while not ended.is_set():
            memory.samples.append((monotonic() - start, service.memory_mib()))
            ended.wait(every_s)

    with in_background(measure):
        yield memory
