"""One caller floods a service while another asks now and then: what the other notices.

    python benchmarks/fairness.py [--factor 3] [--requests 200] [--rounds 2]

Two keys; in turns, the second caller's verifications alone, and while the first sends so many times the capacity. The
other's p99 should at most double.
"""

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import click
from load import measured_capacity
from open_loop import GIVE_UP_S, OpenLoop, ask, quantile, verify_request
from running_service import RunningService, running_service

from service.access.keys import KeyFile, KeyGrant

MOST = 2.0  # times the p99 alone
LONGEST_S = 3600.0


def latencies_ms(service: RunningService, request: bytes, n_requests: int) -> list[float]:
    """Latencies of requests one after the other, sorted; a refused one counts as endless."""
    answers = [ask(service.address, request) for _ in range(n_requests)]
    return sorted(each.took_s * 1000 if each.status == "200" else float("inf") for each in answers)


@contextmanager
def flooded(service: RunningService, request: bytes, rate: float) -> Iterator[Counter[str]]:
    """Send so many requests a second in another process while the block runs; gives the statuses after it."""
    start = multiprocessing.get_context("spawn")  # no copy of this process, whose threads would wait for it
    ended, told, statuses = start.Event(), start.Queue(), Counter[str]()
    sender = start.Process(target=_flood, args=(service.address, request, rate, ended, told), daemon=True)
    sender.start()
    told.get()
    try:
        yield statuses
    finally:
        ended.set()
        statuses.update(told.get())
        sender.join()


def _flood(address: tuple[str, int], request: bytes, rate: float, ended: Event, told: "Queue[Counter[str]]") -> None:
    told.put(Counter())  # it has started
    results = OpenLoop(address, [request], give_up_s=GIVE_UP_S, seed=1).run(rate, LONGEST_S, ended.is_set)
    told.put(Counter(each.status for each in results))


@click.command()
@click.option("--factor", default=3.0, help="Times the capacity that the first caller sends.")
@click.option("--requests", "n_requests", default=200, help="Of the second caller, each time.")
@click.option("--rounds", default=2)
def main(*, factor: float, n_requests: int, rounds: int) -> None:
    """Print p50 and p99 of the second caller, alone and beside the flood."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.json"
        flooding, other = (KeyFile(keys).create(KeyGrant(name, ("verify",))).text for name in ("flooding", "other"))
        with running_service(environment={"VISAVIS_KEYS": str(keys)}) as service:
            flood, request = (verify_request(service.host, key=key) for key in (flooding, other))
            capacity = measured_capacity(service, [flood])
            click.echo(f"capacity {capacity:.1f} verifications/s")
            for _ in range(rounds):
                alone = latencies_ms(service, request, n_requests)
                with flooded(service, flood, factor * capacity) as statuses:
                    ask(service.address, request)  # after the flood has begun
                    beside = latencies_ms(service, request, n_requests)
                p99, p99_beside = quantile(alone, 0.99), quantile(beside, 0.99)
                click.echo(
                    f"alone: p50 {quantile(alone, 0.5):.0f} ms, p99 {p99:.0f} ms; beside {factor:g} times the "
                    f"capacity: p50 {quantile(beside, 0.5):.0f} ms, p99 {p99_beside:.0f} ms, {p99_beside / p99:.2f} "
                    f"times ({'at most' if p99_beside <= MOST * p99 else 'more than'} {MOST:g}); the flood got "
                    f"{dict(statuses)}"
                )


if __name__ == "__main__":
    main()
