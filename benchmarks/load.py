"""Load a service beyond what it can do, with an open loop, and print what became of the requests.

    python benchmarks/load.py [--factor 1.5 --factor 3 --factor 10] [--minutes 5] [--soak 30] [--keys --audit]

First the capacity: verifications a second that 8 clients get, one after the other. Then for each factor so many times
the capacity: statuses, goodput (answers with 200) over the capacity, latency of what was accepted, memory, and how long
until a single request takes its usual time again. `--soak M`: M minutes at 0.8 of the capacity, memory and p99 by the
minute.
"""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice

import click
from open_loop import GIVE_UP_S, PAIRS, OpenLoop, ask, quantile, verify_request
from running_service import RunningService, running_service, watched_memory

CLIENTS, CAPACITY_S = 8, 20.0
ALLOWED = {"200", "429", "503"}
USUAL = 1.5  # times the usual latency counts as back to normal
SOAK_SHARE = 0.8


@dataclass(frozen=True)
class Load:
    """A service, the requests, and what it can do with them."""

    service: RunningService
    requests: Sequence[bytes]
    capacity: float  # verifications a second
    usual_s: float  # of one request alone, median


def measured_capacity(service: RunningService, requests: Sequence[bytes]) -> float:
    """Verifications a second by CLIENTS clients that each wait for an answer before they ask again."""
    end = time.perf_counter() + CAPACITY_S

    def go_on(request: bytes) -> int:
        n_answered = 0
        while time.perf_counter() < end:
            n_answered += ask(service.address, request).status == "200"
        return n_answered

    with ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(go_on, islice(cycle(requests), CLIENTS))) / CAPACITY_S


def usual_latency_s(service: RunningService, request: bytes) -> float:
    return statistics.median(ask(service.address, request).took_s for _ in range(20))


def recovery_s(load: Load) -> float:
    """Seconds until a single request takes its usual time again."""
    start = time.perf_counter()
    while (sent := ask(load.service.address, load.requests[0])).status != "200" or sent.took_s > USUAL * load.usual_s:
        if time.perf_counter() - start > GIVE_UP_S:
            return float("inf")
    return time.perf_counter() - start


def overload(load: Load, factor: float, seconds: float) -> bool:
    """Print a line for one factor; False if an answer was none of those allowed."""
    own = time.process_time()
    with watched_memory(load.service) as memory:
        results = OpenLoop(load.service.address, load.requests, give_up_s=GIVE_UP_S, seed=1).run(
            factor * load.capacity, seconds
        )
    recovered_s = recovery_s(load)
    statuses = Counter(each.status for each in results)
    accepted = [each.took_s for each in results if each.status == "200"]
    goodput = len(accepted) / seconds / load.capacity
    told = ", ".join(f"{status}: {n}" for status, n in sorted(statuses.items()))
    click.echo(
        f"{factor:g} times for {seconds:.0f} s: {told}; goodput {goodput:.0%} of the capacity; accepted: p50 "
        f"{quantile(accepted, 0.5):.2f} s, p99 {quantile(accepted, 0.99):.2f} s, longest "
        f"{max(accepted, default=0):.2f} s; memory {memory.samples[0][1]:.0f} MiB at the start, "
        f"{memory.peak_mib:.0f} at most, "
        f"{load.service.memory_mib():.0f} after; back to normal after {recovered_s:.1f} s; the generator took "
        f"{(time.process_time() - own) / seconds:.0%} of a core"
    )
    return set(statuses) <= ALLOWED


def soak(load: Load, minutes: float) -> bool:
    """Print memory and p99 by the minute at SOAK_SHARE of the capacity."""
    with watched_memory(load.service, every_s=5.0) as memory:
        results = OpenLoop(load.service.address, load.requests, give_up_s=GIVE_UP_S, seed=2).run(
            SOAK_SHARE * load.capacity, minutes * 60
        )
    click.echo("| minute | requests | not 200 | p50, ms | p99, ms | memory, MiB |\n|---|---|---|---|---|---|")
    for minute in range(int(minutes)):
        of_minute = [each for each in results if int(each.due_s // 60) == minute]
        took = [each.took_s * 1000 for each in of_minute if each.status == "200"]
        mib = [mib for at_s, mib in memory.samples if int(at_s // 60) == minute]
        click.echo(
            f"| {minute + 1} | {len(of_minute)} | {len(of_minute) - len(took)} | {quantile(took, 0.5):.0f} | "
            f"{quantile(took, 0.99):.0f} | {statistics.mean(mib or [float('nan')]):.0f} |"
        )
    return {each.status for each in results} <= ALLOWED


@click.command()
@click.option("--factor", "factors", type=float, multiple=True, default=(1.5, 3.0, 10.0), help="Times the capacity.")
@click.option("--minutes", type=float, default=5.0, help="For each factor.")
@click.option("--soak", "soak_minutes", type=float, default=0.0, help="Minutes at 0.8 of the capacity.")
@click.option(
    "--option", "options", multiple=True, help="Of `visavis serve`, such as --option=--keys=FILE; repeatable."
)
@click.option("--key", help="The key to send.")
def main(
    *, factors: tuple[float, ...], minutes: float, soak_minutes: float, options: tuple[str, ...], key: str | None
) -> None:
    """Print capacity, then a line for each factor, then the soak."""
    with running_service(*options) as service:
        requests = [verify_request(service.host, pair, key) for pair in PAIRS]
        usual_s, capacity = usual_latency_s(service, requests[0]), measured_capacity(service, requests)
        click.echo(f"one request alone {usual_s * 1000:.0f} ms (median); capacity {capacity:.1f} verifications/s")
        load = Load(service, requests, capacity, usual_s)
        are_right = [overload(load, factor, minutes * 60) for factor in factors if minutes > 0]
        if soak_minutes > 0:
            are_right.append(soak(load, soak_minutes))
    raise SystemExit(0 if all(are_right) else 1)


if __name__ == "__main__":
    main()
