"""How long a service takes to refuse keys of each kind: the times must not tell which keys exist.

    python benchmarks/key_times.py [--rounds 400]

Each round sends one request of each kind, in random order, over one connection of its kind. The last column is the
difference of the medians to those of a missing key; noise is what two series of one kind ("missing, again") differ by.
"""

import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import httpx2
from live_service import served

from embedder import load
from service.access import rate_limits
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.settings import Settings

UNAUTHORIZED = 401


def presented(file: KeyFile) -> dict[str, str | None]:
    """Make keys, and return what a caller may send, by its kind."""
    good = file.create(KeyGrant("good", ("verify",)))
    revoked = file.create(KeyGrant("revoked", ("verify",)))
    file.revoke(revoked.record.id)
    past = KeyFile(file.path, now=lambda: datetime(2020, 1, 1, tzinfo=UTC))
    expired = past.create(KeyGrant("expired", ("verify",), past.now() + timedelta(days=1)))
    end = "0" * 10
    return {
        "missing": None,
        "missing, again": None,
        "wrong secret of a key that exists": good.text[: -len(end)] + end,
        "unknown id": "visavis_00000000" + good.text[16:],
        "revoked": revoked.text,
        "expired": expired.text,
        "of another form": "sk-" + "0" * 60,
    }


def measure(url: str, kinds: dict[str, str | None], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    clients = {
        kind: httpx2.Client(base_url=url, headers={} if key is None else {"Authorization": f"Bearer {key}"})
        for kind, key in kinds.items()
    }
    for _ in range(rounds):
        for kind in random.sample(list(kinds), len(kinds)):
            started = time.perf_counter()
            answer = clients[kind].get("/v1/model")
            times[kind].append((time.perf_counter() - started) * 1e6)
            assert answer.status_code == UNAUTHORIZED  # noqa: S101 - a script that measures what it says
    for client in clients.values():
        client.close()
    return times


@click.command()
@click.option("--rounds", default=400, show_default=True, help="Requests of each kind.")
def main(rounds: int) -> None:
    """Print the median and the 95th percentile of each kind, in microseconds."""
    rate_limits.FAILED_KEYS = "100000000/minute"  # 429 would be measured otherwise
    with tempfile.TemporaryDirectory() as folder, load() as embedder:
        file = KeyFile(Path(folder) / "keys.json")
        kinds = presented(file)
        with served(create_app(Settings(keys=str(file.path)), embedder)) as url:
            times = measure(url, kinds, rounds)
    base = statistics.median(times["missing"])
    print(f"{'kind':36} median us   p95 us   to a missing key")
    for kind, each in times.items():
        median, p95 = statistics.median(each), statistics.quantiles(each, n=20)[-1]
        print(f"{kind:36} {median:9.0f} {p95:8.0f}   {median - base:+6.0f}")


if __name__ == "__main__":
    main()
