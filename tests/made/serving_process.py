"""`visavis serve` as a process, for tests of what only a process shows: signals, sockets, file descriptors, stderr."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-c", "from visavis.cli.serve import serve; serve()"]
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@contextmanager
def serving(
    *arguments: str, prefix: tuple[str, ...] = (), **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service on a free port; gives the process and its address, once it says that it is ready."""
    env = {**os.environ, **environment}
    command = [*prefix, *COMMAND, "--port", "0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    try:
        assert process.stderr is not None
        assert "loading" in process.stderr.readline()
        ready = next(line for line in process.stderr if " DEBUG " not in line)
        found = re.search(r"visavis is ready on (https?://\S+) \(API: (\S+)\)", ready)
        assert found, ready
        assert found[2] == f"{found[1]}/docs"
        yield process, found[1]
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def talk(url: str, data: bytes, *, timeout_s: float = 5.0, source: str = "127.0.0.1") -> bytes:
    """Send bytes on a new connection; gives all that is answered until the service closes it."""
    with connected(url, source=source) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(data)
        return received(connection)


def connected(url: str, *, source: str = "127.0.0.1") -> socket.socket:
    """A new connection, from one of this machine's own addresses."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), PATIENCE_S, source_address=(source, 0))


def received(connection: socket.socket) -> bytes:
    """All that arrives until the other side closes; raises TimeoutError if it does not."""
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(b" ", 2)[1])
