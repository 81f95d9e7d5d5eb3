"""Send what an attacker would send to a running service: its answer, its cost, and what others notice meanwhile.

    python benchmarks/abuse.py [--only TEXT] [--sockets 200]

Each row: the answer; the time it took; processor time and peak memory of the service and its decoding processes; the
longest time that /healthz and an ordinary verification took meanwhile. Then slow sockets, and 64 clients that send the
largest requests which are allowed.
"""

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Self

import click
import hostile_files as files
from load import ask, quantile
from open_loop import OpenLoop, form_request
from running_service import MemoryWatch, RunningService, running_service

GIVE_UP_S = 90.0
USUAL_VERIFIES = 20
VERIFIES, PAUSE_S, SETTLE_S = 100, 0.1, 1.0
CLIENTS = 64
IMAGES_OF_LARGEST = 4  # of 19 MiB: with the probe, no more fit into a request
BUDGET_MIB, BESIDE_MIB = 1024, 300  # VISAVIS_MEMORY_BYTES, and what the process itself may take
HEAD = "| request | answer | time, s | processor, s | peak memory, MiB | healthz, ms | a verification, ms |"


@dataclass(slots=True)
class Others:
    """Ordinary requests in the background; the longest time that each kind took, in ms."""

    service: RunningService
    verify: bytes
    longest_ms: dict[str, float] = field(default_factory=lambda: {"healthz": 0.0, "verify": 0.0})
    statuses: Counter[str] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        healthz = f"GET /healthz HTTP/1.1\r\nHost: {self.service.host}\r\nConnection: close\r\n\r\n".encode()
        for name, request, pause_s in (("healthz", healthz, 0.05), ("verify", self.verify, 0.2)):
            thread = threading.Thread(target=self._ask, args=(name, request, pause_s), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_why: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str, request: bytes, pause_s: float) -> None:
        while not self._ended.is_set():
            sent = ask(self.service, request)
            self.longest_ms[name] = max(self.longest_ms[name], sent.took_s * 1000)
            self.statuses[f"{name} {sent.status}"] += 1
            time.sleep(pause_s)


def exchange(service: RunningService, request: bytes) -> str:
    """Send a request of any size; gives status and code of the answer."""
    with socket.create_connection(service.address, timeout=GIVE_UP_S) as connection:
        sender = threading.Thread(target=_send, args=(connection, request), daemon=True)
        sender.start()
        answer = bytearray()
        try:
            while received := connection.recv(65536):
                answer += received
        except OSError as error:
            return f"{type(error).__name__} after {len(answer)} bytes"
    code = re.search(rb'"code":"(\w+)"', answer)
    same = re.search(rb'"same":(\w+)', answer)
    found = code or same
    return f"{answer[9:12].decode()} {found[1].decode() if found else ''}"


def _send(connection: socket.socket, request: bytes) -> None:
    with suppress(OSError):  # it was refused before it was read: the answer says so
        connection.sendall(request)


def json_request(path: str, host: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def measured(service: RunningService, name: str, ordinary: bytes, do: Callable[[], str]) -> None:
    """Do something to the service and print its row."""
    cpu_s, start = service.cpu_s(), time.perf_counter()
    with MemoryWatch(service, every_s=0.05) as memory, Others(service, ordinary) as others:
        answer = do()
        took_s = time.perf_counter() - start
    click.echo(
        f"| {name} | {answer} | {took_s:.1f} | {service.cpu_s() - cpu_s:.1f} | {memory.peak_mib:.0f} | "
        f"{others.longest_ms['healthz']:.0f} | {others.longest_ms['verify']:.0f} |"
    )


def slow_sockets(service: RunningService, n: int, ordinary: bytes, usual_ms: float) -> None:
    """Hold n sockets that send a byte a second, in heads and in bodies; print what others notice."""
    connections = []
    for k in range(n):
        connection = socket.create_connection(service.address)
        head = f"POST /v1/verify HTTP/1.1\r\nHost: {service.host}\r\n"
        if k % 2:
            head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        connections.append(connection)
    time.sleep(SETTLE_S)
    ended = threading.Event()
    thread = threading.Thread(target=_drip, args=(connections, ended), daemon=True)
    thread.start()
    sent = []
    for _ in range(VERIFIES):
        time.sleep(PAUSE_S)
        sent.append(ask(service, ordinary))
    ended.set()
    thread.join()
    told = Counter(each.status for each in sent)
    p50, p99 = (quantile([each.took_s * 1000 for each in sent], share) for share in (0.5, 0.99))
    click.echo(
        f"\n{n} sockets that send a byte a second: verifications {dict(told)}, p50 {p50:.0f} ms "
        f"({p50 / usual_ms:.2f} times the usual), p99 {p99:.0f} ms"
    )
    for connection in connections:
        connection.close()


def _drip(connections: list[socket.socket], ended: threading.Event) -> None:
    for k in count():
        for connection in connections if k % 10 == 0 else ():
            with suppress(OSError):  # cut, as it should be
                connection.send(b"a")
        if ended.wait(0.1):
            return


def largest_requests(service: RunningService) -> None:
    """CLIENTS clients that send the largest allowed requests at the same time, three times each."""
    picture = files.large("PNG")
    image = picture + bytes(files.MOST_BYTES - len(picture))
    parts = [("probe", image), *[("reference", image)] * (IMAGES_OF_LARGEST - 1)]
    request = form_request("/v1/verify/many", service.host, parts)
    with MemoryWatch(service, every_s=0.05) as memory:
        loops = [OpenLoop(service.address, [request], give_up_s=GIVE_UP_S, seed=k) for k in range(CLIENTS)]
        results: list[str] = []
        threads = [threading.Thread(target=lambda loop=loop: results.extend(_three_times(loop))) for loop in loops]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    click.echo(
        f"\n{CLIENTS} clients with requests of {len(request) / files.MIB:.0f} MiB: {dict(Counter(results))}; peak "
        f"memory {memory.peak_mib:.0f} MiB; the budget and {BESIDE_MIB} MiB are {BUDGET_MIB + BESIDE_MIB} MiB"
    )


def _three_times(loop: OpenLoop) -> list[str]:
    return [each.status for _ in range(3) for each in loop.run(1e-9, 1e-9)]


@click.command()
@click.option("--only", default="", help="Only the requests whose description contains this text.")
@click.option("--sockets", type=int, default=200, help="The number of slow sockets.")
def main(*, only: str, sockets: int) -> None:
    """Print the table and the two measurements after it."""
    with running_service() as service:
        host = service.host
        ordinary = form_request("/v1/verify", host, [("probe", files.face()), ("reference", files.face("001-smiling"))])
        usual_ms = quantile([ask(service, ordinary).took_s * 1000 for _ in range(USUAL_VERIFIES)], 0.5)
        click.echo(f"A verification takes {usual_ms:.0f} ms; the service has {service.memory_mib():.0f} MiB.\n")
        click.echo(f"{HEAD}\n|---|---|---|---|---|---|---|")
        for name, path, make in files.bodies():
            if only in name:
                request = json_request(path, host, make())
                measured(service, name, ordinary, lambda request=request: exchange(service, request))
        for name, make_image in files.images():
            if only in name:
                request = form_request("/v1/verify", host, [("probe", make_image()), ("reference", files.face())])
                measured(service, name, ordinary, lambda request=request: exchange(service, request))
        for name, path, make_parts in files.batches():
            if only in name:
                request = form_request(path, host, make_parts())
                measured(service, name, ordinary, lambda request=request: exchange(service, request))
        slow_sockets(service, sockets, ordinary, usual_ms)
        largest_requests(service)
        click.echo(f"\nLines in the log: {len(service.lines)}")


if __name__ == "__main__":
    main()
