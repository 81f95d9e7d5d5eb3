"""End, kill, reload and disturb a service, and count what was lost: nothing that was acknowledged may be.

    python benchmarks/failures.py [--seconds 5] [--rounds 3] [stop] [kill] [reload] [calls]

`stop`: SIGTERM under load. `kill`: SIGKILL under load, again and again with one audit log. `reload`: SIGHUP under load
with good and broken bundles. `calls`: every call by which keys, the audit log and the settings are written or read
fails once, and the process is killed before and after each. Exit status 1: something was lost.
"""

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import click
from failing_calls import Outcome, outcomes
from open_loop import PAIRS, ask, verify_request
from running_service import RunningService, in_background, running_service

from embedder import BUILT_IN_MODELS
from service.audit.chain import ChainReader

CLIENTS = 6
NEVER_ACCEPTED = "ECONNREFUSED"  # the service does not listen any more
OTHER_MODEL = "dlib-resnet29-128"
PATIENCE_S = 60
CARD = "card.json"


@contextmanager
def asking(service: RunningService) -> Iterator[Counter[str]]:
    """CLIENTS callers, each with one verification after the other, until the block ends or the service is gone."""
    statuses: Counter[str] = Counter()

    def go_on(request: bytes, ended: threading.Event) -> None:
        status = "200"
        while not ended.is_set() and status.isdecimal():  # else the connection failed
            status = ask(service.address, request).status
            statuses[status] += 1

    requests = [verify_request(service.host, pair) for pair in islice(cycle(PAIRS), CLIENTS)]
    with in_background(*(partial(go_on, request) for request in requests)):
        yield statuses


def answered_lines(folder: Path) -> tuple[int, ChainReader]:
    """How many answers with status 200 the log has, and what verification found."""
    reader = ChainReader(folder)
    n = sum(line.fields["event"] == "request" and line.fields.get("status") == 200 for line in reader)  # noqa: PLR2004
    return n, reader


def stop(folder: Path, seconds: float) -> bool:
    """SIGTERM under load: each request is answered, or the connection was never accepted."""
    with running_service(environment={"VISAVIS_AUDIT": str(folder)}) as service, asking(service) as statuses:
        time.sleep(seconds)
        service.process.send_signal(signal.SIGTERM)
        status = service.process.wait(PATIENCE_S)
    n_lines, reader = answered_lines(folder)
    lost = {each: n for each, n in statuses.items() if each not in ("200", "503", NEVER_ACCEPTED)}
    print(f"stop: exit {status}; clients saw {dict(statuses)}; {n_lines} answers in the log; lost: {lost or 0}")
    return not lost and n_lines == statuses["200"] and status == 0 and not reader.faults


def kill(folder: Path, seconds: float) -> bool:
    """SIGKILL under load: every answer that a client has is in the log, and the chain is whole."""
    with running_service(environment={"VISAVIS_AUDIT": str(folder)}) as service:
        before, _ = answered_lines(folder)
        with asking(service) as statuses:
            time.sleep(seconds)
            service.process.kill()
            service.process.wait(PATIENCE_S)
    after, reader = answered_lines(folder)
    had, n_lines = statuses["200"], after - before
    torn = [note for note in reader.notes if "not complete" in note]
    print(f"kill: {had} answers at clients, {n_lines} in the log; faults: {len(reader.faults)}; torn ends: {torn or 0}")
    return not reader.faults and had <= n_lines <= had + CLIENTS


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def _other_graph(bundle: Path) -> None:
    shutil.copyfile(BUILT_IN_MODELS[OTHER_MODEL] / "network.onnx", bundle / "network.onnx")


def _infinite_card(bundle: Path) -> None:
    card = json.loads((bundle / CARD).read_text())
    (bundle / CARD).write_text(json.dumps({**card, "embedding_size": 10**400}))


BREAKS: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": lambda bundle: _flip(bundle / "weights.safetensors"),
    "a bit of the graph": lambda bundle: _flip(bundle / "network.onnx"),
    "the graph of another model": _other_graph,
    "a graph that is none": lambda bundle: (bundle / "network.onnx").write_bytes(b"\x08\x07" * 100),
    "half of the card": lambda bundle: (bundle / CARD).write_text((bundle / CARD).read_text()[:500]),
    "an absurd number in the card": _infinite_card,
    "no card": lambda bundle: (bundle / CARD).unlink(),
    "no weights": lambda bundle: (bundle / "weights.safetensors").unlink(),
    "no graph": lambda bundle: (bundle / "network.onnx").unlink(),
    "no folder": shutil.rmtree,
}


@contextmanager
def _broken(folder: Path, change: Callable[[Path], object]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        bundle = shutil.copytree(BUILT_IN_MODELS["sface-128"], Path(place) / "bundle")
        change(bundle)
        yield bundle


def _reload(service: RunningService, file: Path, model: object) -> str:
    """Ask for a reload by SIGHUP; gives what the service says of it."""
    n_before = len(service.lines)
    file.write_text(f"model = {json.dumps(str(model))}\n")
    service.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for line in service.lines[n_before:]:
            if "reloaded" in line:
                return line.rstrip()
        time.sleep(0.05)
    raise RuntimeError("the service did not tell the outcome of a reload")


def reload(folder: Path, seconds: float) -> bool:
    """Reload under load: good bundles are served, broken ones refused, and no request fails."""
    file, wrong = folder / "visavis.toml", list[str]()
    file.write_text("")
    with running_service("--config", str(file)) as service, asking(service) as statuses:
        time.sleep(seconds)
        for model in (OTHER_MODEL, "sface-128"):
            line = _reload(service, file, model)
            wrong += [] if f"the model was reloaded: {model}" in line else [model]
        for name, change in BREAKS.items():
            with _broken(folder, change) as bundle:
                line = _reload(service, file, bundle)
            is_refused = "was not reloaded, and sface-128 goes on" in line
            wrong += [] if is_refused else [name]
            print(f"reload: {name}: {'refused' if is_refused else 'TAKEN'}: {line.rpartition('goes on: ')[2][:110]}")
    print(f"reload: clients saw {dict(statuses)}; wrong: {wrong or 0}")
    return not wrong and set(statuses) == {"200"}


def calls(folder: Path) -> bool:
    """Let every call fail, and kill the process at it; print how many calls and what was wrong after them."""
    found: list[Outcome] = list(outcomes(folder))
    for scenario in dict.fromkeys(each.scenario for each in found):
        of_scenario = [each for each in found if each.scenario == scenario]
        by_mode = Counter(each.mode for each in of_scenario)
        wrong = [each for each in of_scenario if each.problem]
        n_acknowledged = sum(each.n_acknowledged for each in of_scenario)
        print(
            f"calls: {scenario}: {', '.join(f'{n} {mode}' for mode, n in by_mode.items())}; "
            f"{n_acknowledged} acknowledged; wrong: {wrong or 0}"
        )
    return not any(each.problem for each in found)


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(["stop", "kill", "reload", "calls"]))
@click.option("--seconds", default=5.0, help="Of load before each signal.")
@click.option("--rounds", default=3, help="Of `stop` and of `kill`.")
def main(parts: tuple[str, ...], seconds: float, rounds: int) -> None:
    passed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k in range(rounds):
            passed += [stop(folder / f"stopped-{k}", seconds)] if not parts or "stop" in parts else []
        for _ in range(rounds):
            passed += [kill(folder / "killed", seconds)] if not parts or "kill" in parts else []
        passed += [reload(folder, seconds)] if not parts or "reload" in parts else []
        passed += [calls(folder)] if not parts or "calls" in parts else []
    print(f"{sum(passed)} of {len(passed)} passed")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
