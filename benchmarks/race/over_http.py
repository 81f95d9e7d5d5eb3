"""The service under load: its rate against two threads in process, latencies, refused requests and memory."""

import os
from collections.abc import Sequence

from .clients import HTTP_BUSY, HTTP_OK
from .figures import Telling, figure
from .photos import Size
from .serving import Loaded, Service
from .workers import Worker

N_THREADS = 2  # in process: as many as the service's own default works on at a time
N_CLIENTS = (1, 8, 32)
MEASURED = 8  # the number of clients that the bars are for
SHARE, TAIL = 0.8, 5.0
N_TOO_MANY = 64  # against the service's 2 places at work and queue of 32
N_STEPS = 5
MEMORY_MIB, GROWTH_MIB = 600.0, 30.0


def rates(service: Service, worker: Worker, size: Size, rounds: int, seconds: float, tell: Telling) -> None:
    """In process and over HTTP in turns."""
    worker.ask("read", [[str(probe), str(reference)] for probe, reference in size.pairs])
    worker.ask("rate", N_THREADS, 1.0)
    service.under(size, MEASURED, "--seconds", "2")
    threads = sorted({1, N_THREADS})
    inside: dict[int, list[float]] = {n: [] for n in threads}
    outside: dict[int, list[Loaded]] = {n: [] for n in N_CLIENTS}
    for _ in range(rounds):
        for n in threads:
            inside[n].append(worker.ask("rate", n, seconds))
        for n in N_CLIENTS:
            outside[n].append(service.under(size, n, "--seconds", str(seconds)))
    for n, found in inside.items():
        tell(figure(place(size), f"in process, {n} thread{'s' * (n > 1)}", "pairs/s", found))
    for n, loads in outside.items():
        tell_loads(n, loads, inside[N_THREADS], size, tell)


def tell_loads(n: int, loads: Sequence[Loaded], inside: Sequence[float], size: Size, tell: Telling) -> None:
    where, who, is_measured = place(size), f"HTTP, {n} client{'s' * (n > 1)}", n == MEASURED
    tell(figure(where, who, "pairs/s", [load.rate for load in loads]))
    plain = [load.rate / rate for load, rate in zip(loads, inside, strict=True)]
    allowed = [share / left_over(load) for share, load in zip(plain, loads, strict=True)]
    tell(figure(where, f"{who}: share of in process", "share", plain))
    bars = {"at_least": SHARE} if is_measured else {}
    tell(figure(where, f"{who}: with the clients' CPU allowed for", "share", allowed, **bars))
    tell(figure(where, f"{who}: p50", "ms", [load.p50_ms for load in loads]))
    tail = {"at_most": TAIL} if is_measured else {}
    tell(figure(where, f"{who}: p99 over p50", "times", [load.p99_ms / load.p50_ms for load in loads], **tail))
    errors = [sum(times for status, times in load.statuses.items() if status != HTTP_OK) for load in loads]
    tell(figure(where, f"{who}: errors", "answers", errors, at_most=0))


def left_over(load: Loaded) -> float:
    """The share of the machine that the clients' own process left to the service."""
    return 1 - load.cpu_s / (load.seconds * (os.cpu_count() or 1))


def overload(service: Service, size: Size, seconds: float, tell: Telling) -> None:
    """Measure refused and lost requests with more clients than places."""
    before = service.memory_mib()
    load = service.under(size, N_TOO_MANY, "--seconds", str(seconds))
    where = ("overload", f"{N_TOO_MANY} clients")
    tell(figure(where, "answered (200)", "answers", [load.statuses.get(HTTP_OK, 0)]))
    tell(figure(where, "refused (503)", "answers", [load.statuses.get(HTTP_BUSY, 0)]))
    others = sum(times for status, times in load.statuses.items() if status not in {HTTP_OK, HTTP_BUSY})
    tell(figure(where, "lost, or any other answer", "answers", [others], at_most=0))
    tell(figure(where, "memory: growth meanwhile", "MiB", [service.memory_mib() - before], at_most=GROWTH_MIB))


def memory(service: Service, size: Size, n: int, tell: Telling) -> None:
    """The memory of the service during n verifications, measured after every fifth of them."""
    where, held = ("memory of the service", f"8 clients, {size.name}"), []
    for step in range(1, N_STEPS + 1):
        load = service.under(size, MEASURED, "--requests", str(n // N_STEPS))
        if set(load.statuses) != {HTTP_OK}:
            tell.note(f"errors: {load.statuses}")
        held.append(service.memory_mib())
        bars = {"at_most": MEMORY_MIB} if step == N_STEPS else {}
        tell(figure(where, f"after {step * (n // N_STEPS):,} verifications", "MiB", held[-1:], **bars))
    growth = held[-1] - held[0]
    tell(figure(where, "growth from the first fifth to the last", "MiB", [growth], at_most=GROWTH_MIB))


def place(size: Size) -> tuple[str, str]:
    return "throughput", f"photos of {size.name}"
