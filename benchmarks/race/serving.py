"""A visavis service with its default settings in one process, and a load of clients in another."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from start import VISAVIS, resident_mib

from .clients import HTTP_OK
from .photos import Size

PATIENCE_S = 60
CLIENTS = Path(__file__).parent / "clients.py"


@dataclass(frozen=True)
class Loaded:
    """The clients' results for a service under load."""

    statuses: dict[int, int]  # 0 = no answer
    p50_ms: float
    p99_ms: float
    seconds: float
    cpu_s: float  # of the clients' own process

    @property
    def rate(self) -> float:
        """Pairs a second."""
        return self.statuses.get(HTTP_OK, 0) / self.seconds


@dataclass(frozen=True)
class Service:
    url: str
    pid: int

    def memory_mib(self) -> float:
        return resident_mib(self.pid)

    def under(self, size: Size, n_clients: int, *until: str) -> Loaded:
        """Send it pairs of photographs, for N `--seconds` or `--requests`."""
        photos = [str(path) for pair in size.pairs for path in pair]
        command: Sequence[str] = [sys.executable, str(CLIENTS), self.url, "--clients", str(n_clients), *until, *photos]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return Loaded(**{**told, "statuses": {int(status): n for status, n in told["statuses"].items()}})


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """Serve until the block ends."""
    log = folder / "service.log"  # a file, because an unread pipe would fill up
    command = [str(VISAVIS), "serve", "--port", "0"]
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            yield Service(address(process, log), process.pid)
        finally:
            process.terminate()


def address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        _, is_ready, rest = log.read_text().partition(" ready on ")
        if is_ready and rest.split():
            return rest.split()[0]
        time.sleep(0.05)
    sys.exit(f"the service is not ready:\n{log.read_text()[-2000:]}")
