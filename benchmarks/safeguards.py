"""What keys, limits, metrics, JSON logs and the audit log cost together: two services in turns, one without, one with.

    python benchmarks/safeguards.py [--rounds 10] [--requests 25] [--audit-folder FOLDER]

In each round 8 clients send so many verifications each to either service, first to one, then to the other. It prints
verifications a second and the processor time of one, as medians of the rounds, and the ratio within each round. The
audit log's cost depends on the disk: name a folder on the one that you will use. Exit status 1 if the median ratio of
verifications a second is below 0.95.
"""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import click
from open_loop import FORM_TYPE, PAIRS, form_body, pair_images
from running_service import RunningService, running_service

from service.access.keys import KeyFile, KeyGrant

CLIENTS = 8
LEAST_RATIO = 0.95
OK = 200


@dataclass(frozen=True, slots=True)
class Round:
    """What one service did in one round."""

    per_s: float  # verifications
    cpu_ms: float  # of one verification, all processes of the service


def ask(service: RunningService, headers: dict[str, str], n_requests: int) -> None:
    """Send verifications one after the other. Raises RuntimeError for an answer that is none."""
    connection, content = HTTPConnection(*service.address, timeout=120), form_body(pair_images(PAIRS[0]))
    for _ in range(n_requests):
        connection.request("POST", "/v1/verify", content, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != OK:
            raise RuntimeError(f"answered {answer.status}: {text[:200]!r}")
    connection.close()


def measured(service: RunningService, headers: dict[str, str], n_requests: int) -> Round:
    cpu_s, start = service.cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: ask(service, headers, n_requests), range(CLIENTS)))
    n, took_s = CLIENTS * n_requests, time.perf_counter() - start
    return Round(n / took_s, (service.cpu_s() - cpu_s) / n * 1000)


def protected_environment(folder: Path, keys: Path) -> dict[str, str]:
    """All that costs something for each request."""
    return {
        "VISAVIS_KEYS": str(keys),
        "VISAVIS_AUDIT": str(folder),
        "VISAVIS_RATE_LIMIT": "1000000/minute",
        "VISAVIS_ADDRESS_RATE_LIMIT": "1000000/minute",
        "VISAVIS_METRICS_PORT": "0",
        "VISAVIS_LOG_FORMAT": "json",
    }


@click.command()
@click.option("--rounds", default=10)
@click.option("--requests", "n_requests", default=25, help="Of each client in each round.")
@click.option("--audit-folder", type=click.Path(path_type=Path), help="A new folder; by default a temporary one.")
def main(rounds: int, n_requests: int, audit_folder: Path | None) -> None:
    """Print rates, processor time and the ratio."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keys, form = folder / "keys.json", {"Content-Type": FORM_TYPE}
        key = KeyFile(keys).create(KeyGrant("benchmark", ("verify",))).text
        environment = protected_environment(audit_folder or folder / "audit", keys)
        plain = stack.enter_context(running_service()), form
        protected = (
            stack.enter_context(running_service(environment=environment)),
            form | {"Authorization": f"Bearer {key}"},
        )
        measured(*plain, 3)
        measured(*protected, 3)
        pairs = [_one_round(plain, protected, n_requests, k) for k in range(rounds)]
    _show("without", [without for without, _ in pairs])
    _show("with", [with_ for _, with_ in pairs])
    ratios = [with_.per_s / without.per_s for without, with_ in pairs]
    cpu = [with_.cpu_ms / without.cpu_ms for without, with_ in pairs]
    click.echo(f"ratio of rates {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    click.echo(f"ratio of processor time {statistics.median(cpu):.3f} ({min(cpu):.3f} to {max(cpu):.3f})")
    raise SystemExit(0 if statistics.median(ratios) >= LEAST_RATIO else 1)


ServiceAndHeaders = tuple[RunningService, dict[str, str]]


def _one_round(
    plain: ServiceAndHeaders, protected: ServiceAndHeaders, n_requests: int, number: int
) -> tuple[Round, Round]:
    """Measure both, each first in every second round."""
    if number % 2:
        second = measured(*protected, n_requests)
        return measured(*plain, n_requests), second
    return measured(*plain, n_requests), measured(*protected, n_requests)


def _show(name: str, rounds: list[Round]) -> None:
    per_s, cpu_ms = (statistics.median(getattr(each, field) for each in rounds) for field in ("per_s", "cpu_ms"))
    click.echo(f"{name:8} {per_s:6.1f} verifications/s   {cpu_ms:6.1f} ms of processor time each")


if __name__ == "__main__":
    main()
