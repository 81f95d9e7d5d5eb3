"""`visavis serve --check`: try everything that a start needs, and tell all that is wrong at once. Serves nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from embedder import is_built_in

from .routes.health import first_inference
from .serving import START_CHECKS, ServingError, listening, load_model, threads_of_worker
from .settings import Settings, read_settings, shown
from .telemetry.machine import MIB, this_machine

IDLE_BYTES = 400 * MIB  # of each process that serves, and its decoders, without requests


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, and the outcome in words."""

    subject: str
    text: str
    is_wrong: bool = False


def check(config: str | None = None, **given: object) -> list[Finding]:
    """Check the settings, with the arguments of `run`, and all that they name; an invalid one counts as its default."""
    reading = read_settings(config, **given)
    faults = [Finding("settings", fault, is_wrong=True) for fault in reading.faults]
    settings = faults or [Finding("settings", "all known and valid")]
    return [*settings, *(finding for each in CHECKS for finding in each(reading.settings))]


def _ports(settings: Settings) -> Iterator[Finding]:
    asked = [settings.port] if settings.metrics_port is None else [settings.port, settings.metrics_port]
    if settings.port and settings.port == settings.metrics_port:
        yield Finding("port", f"port and metrics_port are both {settings.port}; choose another one", is_wrong=True)
        return
    for port in asked:
        try:
            with listening(settings.host, port):
                yield Finding("port", f"{shown(settings.host)} port {port} is free")
        except ServingError as error:
            yield Finding("port", shown(str(error)), is_wrong=True)


def _before_the_model(settings: Settings) -> Iterator[Finding]:
    """Check what a start checks first: access, the files of TLS, the audit folder, file descriptors, workers."""
    for subject, run in START_CHECKS.items():
        try:
            run(settings)
        except ServingError as error:
            yield Finding(subject, shown(str(error)), is_wrong=True)
        else:
            if subject == "access":
                yield Finding(subject, "keys are needed" if settings.keys else "no key is needed")
            if subject == "workers" and settings.workers > 1:
                yield Finding(subject, f"{settings.workers}, with {threads_of_worker(settings)} threads each")


def _memory(settings: Settings) -> Iterator[Finding]:
    """Compare the memory that requests may hold, and that of an idle service, with what the machine has."""
    machine = this_machine().usable_memory_bytes
    if machine is None:
        yield Finding("memory", "the memory of this machine is unknown")
        return
    needed = settings.memory_bytes + settings.workers * IDLE_BYTES
    told = f"{needed // MIB:,} MiB of {machine // MIB:,} MiB, {settings.memory_bytes // MIB:,} MiB of them for requests"
    if needed > machine:
        remedy = "lower memory_bytes" if settings.workers == 1 else "lower memory_bytes or workers"
        yield Finding("memory", f"{told}; {remedy}", is_wrong=True)
    else:
        yield Finding("memory", told)


def _model(settings: Settings) -> Iterator[Finding]:
    try:
        with load_model(settings) as embedder:
            first_inference(embedder)
            identity, card, runs_on = embedder.identity, embedder.card, embedder.runtime_description
    except (ServingError, OSError, ValueError) as error:
        yield Finding("model", shown(str(error)), is_wrong=True)
        return
    if not is_built_in(card):
        yield Finding("model", f"{shown(identity.name)} is not built in; card digest {card.card_digest}")
    yield Finding("model", f"{shown(identity.name)}, digest {identity.digest[:19]}, runs with {runs_on}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_ports, _before_the_model, _memory, _model)
