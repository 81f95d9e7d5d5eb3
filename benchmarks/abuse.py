"""Send what an attacker would send to a running service: its answer, its cost, and what others notice meanwhile.

    python benchmarks/abuse.py [--only TEXT] [--sockets 200]

Each row: the answer; the time it took; processor time and peak memory of the service and its decoding processes; the
longest time that /healthz and an ordinary verification took meanwhile. Then slow sockets, and 64 clients that send the
largest requests which are allowed.
"""

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, count
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import click
import hostile_files as files
import numpy as np
from open_loop import OpenLoop, ask, form_request, post_request, quantile, verify_request
from running_service import RunningService, in_background, running_service, watched_memory

from embedder import Quality
from gallery import NewTemplate, open_store

GIVE_UP_S = 90.0
USUAL_VERIFIES = 20
VERIFIES, PAUSE_S, SETTLE_S = 100, 0.1, 1.0
CLIENTS = 64
IMAGES_OF_LARGEST = 4  # of 19 MiB: with the probe, no more fit into a request
BUDGET_MIB, BESIDE_MIB = 1024, 300  # VISAVIS_MEMORY_BYTES, and what the process itself may take
PEOPLE_AND_TEMPLATES = (1000, 10)  # as many templates as the card carries at the FPIR that is usual
USUAL_QUALITY = Quality(60.0, 0.7, 0.0, 128.0, 40.0, 0.0, 0.0, 0.9, 1.0, 1.0)
HEAD = "| request | answer | time, s | processor, s | peak memory, MiB | healthz, ms | a verification, ms |"


@contextmanager
def others(service: RunningService, verify: bytes) -> Iterator[dict[str, float]]:
    """Ordinary requests in the background; gives the longest time that each kind took so far, in ms."""
    healthz = f"GET /healthz HTTP/1.1\r\nHost: {service.host}\r\nConnection: close\r\n\r\n".encode()
    longest_ms = {"healthz": 0.0, "verify": 0.0}

    def go_on(name: str, request: bytes, pause_s: float, ended: threading.Event) -> None:
        while not ended.is_set():
            longest_ms[name] = max(longest_ms[name], ask(service.address, request).took_s * 1000)
            ended.wait(pause_s)

    with in_background(partial(go_on, "healthz", healthz, 0.05), partial(go_on, "verify", verify, 0.2)):
        yield longest_ms


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


def measured(service: RunningService, name: str, ordinary: bytes, do: Callable[[], str]) -> None:
    """Do something to the service and print its row."""
    cpu_s, start = service.cpu_s(), time.perf_counter()
    with watched_memory(service, every_s=0.05) as memory, others(service, ordinary) as longest_ms:
        answer = do()
        took_s = time.perf_counter() - start
    click.echo(
        f"| {name} | {answer} | {took_s:.1f} | {service.cpu_s() - cpu_s:.1f} | {memory.peak_mib:.0f} | "
        f"{longest_ms['healthz']:.0f} | {longest_ms['verify']:.0f} |"
    )


def fill_gallery(service: RunningService, url: str) -> None:
    """Put random templates of the served model into the gallery that requests of hostile_files.py search."""
    with urlopen(f"http://{service.host}/v1/model") as answer:
        digest = json.load(answer)["digest"]
    drawn = np.random.default_rng(0).normal(size=(*PEOPLE_AND_TEMPLATES, 128)).astype(np.float32)
    vectors = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
    with open_store(url) as store:
        store.create_gallery(files.GALLERY)
        for n, person in enumerate(vectors):
            new = [NewTemplate(vector, USUAL_QUALITY, digest) for vector in person]
            store.add_templates(files.GALLERY, str(n), new)


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
    sent = []
    with in_background(partial(_drip, connections)):
        for _ in range(VERIFIES):
            time.sleep(PAUSE_S)
            sent.append(ask(service.address, ordinary))
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
    loops = [OpenLoop(service.address, [request], give_up_s=GIVE_UP_S, seed=k) for k in range(CLIENTS)]
    with watched_memory(service, every_s=0.05) as memory, ThreadPoolExecutor(CLIENTS) as clients:
        results = Counter(chain.from_iterable(clients.map(_three_times, loops)))
    click.echo(
        f"\n{CLIENTS} clients with requests of {len(request) / files.MIB:.0f} MiB: {dict(results)}; peak "
        f"memory {memory.peak_mib:.0f} MiB; the budget and {BESIDE_MIB} MiB are {BUDGET_MIB + BESIDE_MIB} MiB"
    )


def _three_times(loop: OpenLoop) -> list[str]:
    return [each.status for _ in range(3) for each in loop.run(1e-9, 1e-9)]


@click.command()
@click.option("--only", default="", help="Only the requests whose description contains this text.")
@click.option("--sockets", type=int, default=200, help="The number of slow sockets.")
def main(*, only: str, sockets: int) -> None:
    """Print the table and the two measurements after it."""
    with TemporaryDirectory() as folder, running_service("--gallery", f"sqlite:///{folder}/gallery.db") as service:
        fill_gallery(service, f"sqlite:///{folder}/gallery.db")
        host = service.host
        ordinary = verify_request(host)
        usual_ms = quantile([ask(service.address, ordinary).took_s * 1000 for _ in range(USUAL_VERIFIES)], 0.5)
        click.echo(f"A verification takes {usual_ms:.0f} ms; the service has {service.memory_mib():.0f} MiB.\n")
        click.echo(f"{HEAD}\n|---|---|---|---|---|---|---|")
        for name, path, make in files.bodies():
            if only in name:
                request = post_request(path, host, "application/json", make())
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
