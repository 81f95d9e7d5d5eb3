"""One caller floods a service while another asks now and then: what the other notices.

    python benchmarks/fairness.py [--factor 3] [--requests 200] [--rounds 2]

Two keys; in turns, the second caller's verifications alone, and while the first sends so many times the capacity. The
other's p99 should at most double.
"""

import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import click
from load import FACES, GIVE_UP_S, PAIRS, ask as ask_once, measured_capacity, quantile
from open_loop import OpenLoop, form_request
from running_service import RunningService, running_service

from service.access.keys import KeyFile, KeyGrant

MOST = 2.0  # times the p99 alone
SENDERS = 4


def latencies_ms(service: RunningService, request: bytes, n_requests: int) -> list[float]:
    """Latencies of requests one after the other, sorted; a refused one counts as endless."""
    answers = [ask_once(service, request) for _ in range(n_requests)]
    return sorted(each.took_s * 1000 if each.status == "200" else float("inf") for each in answers)


class Flood:
    """Requests sent in other threads while the block runs: each for a second at this rate, until all are answered."""

    def __init__(self, service: RunningService, request: bytes, rate: float) -> None:
        self._service, self._request, self._rate = service, request, rate
        self._ended = threading.Event()
        self.statuses: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._send, args=(seed,)) for seed in range(SENDERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_why: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, seed: int) -> None:
        loop = OpenLoop(self._service.address, [self._request], give_up_s=GIVE_UP_S, seed=seed)
        while not self._ended.is_set():
            self.statuses.update(each.status for each in loop.run(self._rate, 1.0))


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
            probe, reference = ((FACES / f"{name}.jpg").read_bytes() for name in PAIRS[0])
            parts = [("probe", probe), ("reference", reference)]
            flood, request = (form_request("/v1/verify", service.host, parts, key) for key in (flooding, other))
            capacity = measured_capacity(service, [flood])
            click.echo(f"capacity {capacity:.1f} verifications/s")
            for _ in range(rounds):
                alone = latencies_ms(service, request, n_requests)
                with Flood(service, flood, factor * capacity) as sent:
                    beside = latencies_ms(service, request, n_requests)
                p99, p99_beside = quantile(alone, 0.99), quantile(beside, 0.99)
                click.echo(
                    f"alone: p50 {quantile(alone, 0.5):.0f} ms, p99 {p99:.0f} ms; beside {factor:g} times the "
                    f"capacity: p50 {quantile(beside, 0.5):.0f} ms, p99 {p99_beside:.0f} ms, {p99_beside / p99:.2f} "
                    f"times ({'at most' if p99_beside <= MOST * p99 else 'more than'} {MOST:g}); the flood got "
                    f"{dict(sent.statuses)}"
                )


if __name__ == "__main__":
    main()
