"""The load on a service, in its own process: N clients, each sends its next pair when it has received its answer.

Usage: python clients.py URL --clients N (--seconds S | --requests R) PHOTO PHOTO ... The photos are pairs. Prints one
line of JSON: answers by status, latencies, seconds, and the CPU seconds that this process took itself. Needs nothing
but Python.
"""

import argparse
import json
import resource
import statistics
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = "a-line-between-photographs"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
TIMEOUT_S = 120
HTTP_OK, HTTP_BUSY = 200, 503
LOST = 0  # the "status" of a request without an answer


class Load:
    """Shared by the clients: what to send, when to stop, and what came back."""

    def __init__(self, url: str, bodies: list[bytes], *, seconds: float | None, requests: int | None) -> None:
        self._address = urlsplit(url).netloc
        self._bodies = bodies
        self._seconds, self._requests = seconds, requests
        self._numbers = count()
        self.start = time.perf_counter()
        self.answers: list[tuple[int, float]] = []  # status, milliseconds

    def work(self) -> None:
        """One client, with one connection that is kept."""
        connection = HTTPConnection(self._address, timeout=TIMEOUT_S)
        while not self._is_over(number := next(self._numbers)):
            start = time.perf_counter()
            status, pause_s = ask(connection, self._bodies[number % len(self._bodies)])
            self.answers.append((status, 1e3 * (time.perf_counter() - start)))
            time.sleep(pause_s)
        connection.close()

    def _is_over(self, number: int) -> bool:
        if self._requests is not None:
            return number >= self._requests
        return self._seconds is None or time.perf_counter() - self.start >= self._seconds


def ask(connection: HTTPConnection, body: bytes) -> tuple[int, float]:
    """The status, and how many seconds the service asks to be left alone."""
    try:
        send(connection, body)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException):
        connection.close()
        return LOST, 0.0
    return response.status, float(response.headers.get("Retry-After", 0)) if response.status == HTTP_BUSY else 0.0


def send(connection: HTTPConnection, body: bytes) -> None:
    """Send all of it, unless the service answers before and closes: its answer can be read then."""
    try:
        connection.request("POST", "/v1/verify", body, HEADERS)
    except (BrokenPipeError, ConnectionResetError):
        return


def multipart(probe: Path, reference: Path) -> bytes:
    parts = []
    for name, path in (("probe", probe), ("reference", reference)):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.jpg"\r\n'
        parts.append(f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + path.read_bytes() + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def report(load: Load) -> dict[str, object]:
    seconds = time.perf_counter() - load.start
    used = resource.getrusage(resource.RUSAGE_SELF)
    ms = [taken for status, taken in load.answers if status == HTTP_OK]
    percentiles = statistics.quantiles(ms, n=100, method="inclusive") if len(ms) > 1 else [0.0] * 99
    return {
        "statuses": Counter(status for status, _ in load.answers),
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
        "seconds": seconds,
        "cpu_s": used.ru_utime + used.ru_stime,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--requests", type=int)
    parser.add_argument("photos", type=Path, nargs="+")
    asked = parser.parse_args()
    bodies = [multipart(*pair) for pair in zip(asked.photos[::2], asked.photos[1::2], strict=True)]
    load = Load(asked.url, bodies, seconds=asked.seconds, requests=asked.requests)
    threads = [threading.Thread(target=load.work) for _ in range(asked.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(report(load)))


if __name__ == "__main__":
    main()
