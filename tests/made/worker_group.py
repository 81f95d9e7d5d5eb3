"""`visavis serve --workers 2` as processes, and clients that keep one connection each."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

import psutil
from child_processes import children, is_running
from open_loop import FORM_TYPE, form_body
from prometheus_client.parser import text_string_to_metric_families
from serving_process import COMMAND, PATIENCE_S, ROOT

from service.telemetry.machine import processes_from

# As process 1 of a container, the parent gets the processes that a killed worker leaves behind.
AS_FIRST = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
READY = re.compile(r"ready on http://[^:]+:(\d+)")
METRICS = re.compile(r"metrics are on port (\d+)")


@dataclass(slots=True)
class Group:
    """A parent with its workers."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)  # of stderr

    @property
    def port(self) -> int:
        """The port of the service."""
        return int(self.found(READY)[1])

    @property
    def workers(self) -> list[int]:
        """The processes of the workers that live."""
        return list(filter(is_running, children(self.process.pid)))

    @property
    def n_zombies(self) -> int:
        """Processes below the parent that have ended, and that nobody has waited for."""
        return sum(not is_running(each) for each in processes_from(self.process.pid))

    def found(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """The first match in a line."""
        return next(match for match in map(pattern.search, list(self.lines)) if match)

    def sample(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels, from the port for metrics."""
        connection = HTTPConnection("127.0.0.1", int(self.found(METRICS)[1]), timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    def worker_of(self, caller: "Caller") -> int:
        """The process that serves a connection."""
        for pid in self.workers:
            found = psutil.Process(pid).net_connections("tcp")
            if any(each.raddr and each.raddr.port == caller.local_port for each in found):
                return pid
        raise LookupError(caller.local_port)


@contextmanager
def group(*arguments: str, **environment: str) -> Iterator[Group]:
    """Start two workers; gives them once they are ready."""
    options = ["--port", "0", "--workers", "2", *arguments]
    command = [sys.executable, "-c", AS_FIRST, *COMMAND, *options]
    env = os.environ | {"VISAVIS_METRICS_PORT": "0"} | environment
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    found = Group(process)
    reader = threading.Thread(target=lambda: found.lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    try:
        until(lambda: any("memory:" in line for line in found.lines) or process.poll() is not None)
        assert process.poll() is None, found.lines
        yield found
    finally:
        workers = found.workers if process.poll() is None else []
        process.kill()
        process.wait(PATIENCE_S)
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reader.join(PATIENCE_S)
        if process.stderr is not None:
            process.stderr.close()


class Caller:
    """A client with one connection, which it opens again if it has to."""

    def __init__(self, group: Group, key: str | None = None) -> None:
        self._connection = HTTPConnection("127.0.0.1", group.port, timeout=PATIENCE_S)
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    @property
    def local_port(self) -> int:
        """The port of its own end."""
        assert isinstance(self._connection.sock, socket.socket)
        return int(self._connection.sock.getsockname()[1])

    def ask(self, method: str, path: str, images: dict[str, bytes] | None = None, **headers: str) -> tuple[int, Any]:
        """Send a request; gives status and JSON. Raises OSError or HTTPException if the connection is lost."""
        body = None if images is None else form_body(list(images.items()))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {} if images is None else {"Content-Type": FORM_TYPE}
        try:
            self._connection.request(method, path, body, self._headers | content | named)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, HTTPException):
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def calling(group: Group, n: int, key: str | None = None) -> Iterator[list[Caller]]:
    """So many clients, connected already."""
    callers = [Caller(group, key) for _ in range(n)]
    try:
        for each in callers:
            each.ask("GET", "/healthz")
        yield callers
    finally:
        for each in callers:
            each.close()


def until(condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
    """Wait until something is true."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s} s without success")
        time.sleep(0.05)
