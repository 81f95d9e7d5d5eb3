"""`visavis serve` as a process on a free port, with what it uses: memory of it and its children, and processor time."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Self

COMMAND = (sys.executable, "-c", "import sys; sys.argv[0] = 'visavis'; from visavis.cli.main import main; main()")
READY = re.compile(r"ready on https?://([0-9.]+):(\d+)")
PATIENCE_S = 60
MIB = 2**20


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

    def pids(self) -> list[int]:
        """The service's process and all below it."""
        found = [self.process.pid]
        for pid in found:  # which grows meanwhile
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):  # it has just ended
                    found += map(int, children.read_text().split())
        return found

    def memory_mib(self) -> float:
        """Memory of all its processes, with memory files; what they share counts once (PSS)."""
        return (sum(map(_pss_kib, self.pids())) * 1024 + _memory_files_bytes(self.process.pid)) / MIB

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(map(_cpu_s, self.pids()))


def _pss_kib(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


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


class MemoryWatch:
    """Measures a service's memory every half second while the block runs."""

    def __init__(self, service: RunningService, every_s: float = 0.5) -> None:
        self._service, self._every_s = service, every_s
        self._ended = threading.Event()
        self.samples: list[tuple[float, float]] = []  # seconds, MiB

    @property
    def peak_mib(self) -> float:
        """The largest of the samples."""
        return max((mib for _, mib in self.samples), default=0.0)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_why: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        start = monotonic()
        while not self._ended.is_set():
            self.samples.append((monotonic() - start, self._service.memory_mib()))
            sleep(self._every_s)
