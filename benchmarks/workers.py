"""Compare one process with several workers: verifications a second, latency and memory, in turns.

    python benchmarks/workers.py [--workers 1 --workers 2] [--clients 8 --clients 32] [--rounds 5] [--seconds 5]

All services run at the same time, and clients ask one of them at a time. Each client keeps one connection, and sends
its next verification when it has the answer to the one before. The figures in docs/operations.md are printed here.
"""

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle, islice

import click
from open_loop import FORM_TYPE, PAIRS, form_body, pair_images, quantile
from running_service import RunningService, running_service

OK = 200
HEADERS = {"Content-Type": FORM_TYPE}
WARM_S = 1.0


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """What clients got from a service that each wait for an answer before they ask again."""

    took_s: tuple[float, ...]  # of each verification
    seconds: float
    cpu_s: float  # of all processes of the service
    n_refused: int

    @property
    def per_s(self) -> float:
        """Verifications a second."""
        return len(self.took_s) / self.seconds


def closed_loop(service: RunningService, n_clients: int, seconds: float) -> ClosedLoop:
    """Let clients verify for so long; each ends with its last answer."""
    bodies = [form_body(pair_images(pair)) for pair in PAIRS]
    cpu_s, began = service.cpu_s(), time.perf_counter()

    def go_on(body: bytes) -> list[float | None]:
        connection, took = HTTPConnection(*service.address, timeout=120), list[float | None]()
        while (start := time.perf_counter()) < began + seconds:
            connection.request("POST", "/v1/verify", body, HEADERS)
            answer = connection.getresponse()
            answer.read()
            took.append(time.perf_counter() - start if answer.status == OK else None)
        connection.close()
        return took

    with ThreadPoolExecutor(n_clients) as clients:
        found = [took for each in clients.map(go_on, islice(cycle(bodies), n_clients)) for took in each]
    answered = tuple(took for took in found if took is not None)
    ended = time.perf_counter() - began
    return ClosedLoop(answered, ended, service.cpu_s() - cpu_s, len(found) - len(answered))


@click.command()
@click.option("--workers", "numbers", type=int, multiple=True, default=(1, 2))
@click.option("--clients", "all_clients", type=int, multiple=True, default=(8, 32))
@click.option("--rounds", default=5)
@click.option("--seconds", default=5.0, help="Of each number of clients and workers, in each round.")
def main(numbers: tuple[int, ...], all_clients: tuple[int, ...], rounds: int, seconds: float) -> None:
    """Print a line for each number of clients and workers."""
    with ExitStack() as stack:
        services = {n: stack.enter_context(running_service("--workers", str(n))) for n in numbers}
        for service in services.values():
            closed_loop(service, max(all_clients), WARM_S)
        idle = {n: service.memory_mib() for n, service in services.items()}
        results = {(n_clients, n): list[ClosedLoop]() for n_clients in all_clients for n in numbers}
        for turn in range(rounds):
            for n_clients, n in sorted(results, reverse=bool(turn % 2)):
                results[n_clients, n].append(closed_loop(services[n], n_clients, seconds))
        memory = {n: service.memory_mib() for n, service in services.items()}
    click.echo(
        "| clients | workers | verifications a second (of rounds) | p50, ms | p99, ms | processor time of one, ms "
        "| refused | memory before, after, MiB |\n|---|---|---|---|---|---|---|---|"
    )
    for (n_clients, n), found in results.items():
        click.echo(f"| {n_clients} | {n} | {_line(found)} | {idle[n]:.0f}, {memory[n]:.0f} |")


def _line(found: Sequence[ClosedLoop]) -> str:
    rates = [each.per_s for each in found]
    took_ms = [took * 1000 for each in found for took in each.took_s]
    cpu_ms = sum(each.cpu_s for each in found) / len(took_ms) * 1000
    return (
        f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f}) | {quantile(took_ms, 0.5):.0f} | "
        f"{quantile(took_ms, 0.99):.0f} | {cpu_ms:.1f} | {sum(each.n_refused for each in found)}"
    )


if __name__ == "__main__":
    main()
