"""The metrics of several processes as one: read from each registry, added up, and what an ended one counted is kept."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .metrics import reload_metrics

SampleKey: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # name and labels

POLL_S = 5.0
CREATED = "_created"  # the end of the names of times
LASTING = ("counter", "histogram")  # the types whose values stay when their process has ended
# Where a sum would say nothing: the least of all, and the greatest.
LEAST = {"visavis_ready", "visavis_last_reload_successful", "process_start_time_seconds", "process_max_fds"}
GREATEST = {"visavis_gallery", "visavis_build_info", "python_info"}


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One number."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """The numbers of one metric, as Prometheus' library has them."""

    name: str
    documentation: str
    type: str
    samples: tuple[MetricSample, ...] = field(default=(), repr=False)


Families: TypeAlias = tuple[MetricFamily, ...]


def families_of(registry: CollectorRegistry) -> Families:
    """Read all metrics of a registry."""
    return tuple(
        MetricFamily(
            each.name,
            each.documentation,
            each.type,
            tuple(MetricSample(one.name, tuple(sorted(one.labels.items())), float(one.value)) for one in each.samples),
        )
        for each in registry.collect()
    )


def summed(parts: Sequence[Families]) -> Families:
    """Add up the metrics of several processes; those of LEAST and GREATEST, and times, are not added."""
    found = dict[str, MetricFamily]()
    values = dict[str, dict[SampleKey, float]]()
    for each in (family for part in parts for family in part):
        found.setdefault(each.name, each)
        numbers = values.setdefault(each.name, {})
        for sample in each.samples:
            key = (sample.name, sample.labels)
            numbers[key] = _joined(sample.name)(numbers[key], sample.value) if key in numbers else sample.value
    return tuple(
        replace(family, samples=tuple(MetricSample(*key, value) for key, value in values[name].items()))
        for name, family in found.items()
    )


def lasting(families: Families) -> Families:
    """Return what stays of the metrics of a process that has ended: what it counted."""
    return tuple(each for each in families if each.type in LASTING)


def as_text(families: Families) -> bytes:
    """Return metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True)
class GroupState:
    """What is true of a group of workers now."""

    is_ready: bool
    n_workers: int
    n_answering: int
    n_restarts: int
    n_reloads: Mapping[str, int]  # success, failure -> number of reloads
    is_last_reload_successful: bool


class GroupMetrics:
    """The sum of all workers' metrics, with what ended ones counted. Thread-safe.

    Each worker is read whenever the metrics are asked for, and every POLL_S: what a killed one counted since is lost.
    """

    def __init__(
        self, sources: Callable[[], Mapping[int, Callable[[], Families]]], state: Callable[[], GroupState]
    ) -> None:
        """Read by `sources`, whose functions raise LookupError if a worker does not answer; its last metrics count."""
        self._sources = sources
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_GroupCollector(state))
        self._lock = threading.Lock()
        self._of_workers = dict[int, Families]()  # as read last
        self._of_ended: Families = ()
        self._ended = set[int]()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        self.read()
        own = families_of(self._registry)
        with self._lock:
            return as_text(summed([own, *self._of_workers.values(), self._of_ended]))

    def read(self) -> None:
        """Read the metrics of each worker."""
        for process, source in self._sources().items():
            try:
                found = source()
            except LookupError:
                continue
            with self._lock:
                if process not in self._ended:
                    self._of_workers[process] = found

    def retire(self, process: int) -> None:
        """Keep what a process has counted that has ended."""
        with self._lock:
            self._ended.add(process)
            self._of_ended = summed([self._of_ended, lasting(self._of_workers.pop(process, ()))])

    @contextmanager
    def polled(self) -> Iterator[None]:
        """Read the metrics again and again, until the block ends."""
        has_ended = threading.Event()

        def poll() -> None:
            while not has_ended.wait(POLL_S):
                self.read()

        threading.Thread(target=poll, name="visavis-poll", daemon=True).start()
        try:
            yield
        finally:
            has_ended.set()


class _GroupCollector(Collector):
    def __init__(self, state: Callable[[], GroupState]) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        """Describe nothing, so that registering does not read the state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield what only the parent knows; the sum puts it into the metrics of the same name."""
        state = self._state()
        yield GaugeMetricFamily("visavis_ready", "1 after the first inference, else 0.", value=state.is_ready)
        yield GaugeMetricFamily("visavis_workers", "Processes that shall answer.", value=state.n_workers)
        yield GaugeMetricFamily("visavis_workers_answering", "Processes that answer.", value=state.n_answering)
        yield CounterMetricFamily("visavis_worker_restarts", "Workers started again.", value=state.n_restarts)
        yield from reload_metrics(state.n_reloads, is_last_successful=state.is_last_reload_successful)


def _joined(name: str) -> Callable[[float, float], float]:
    if name in LEAST or name.endswith(CREATED):
        return min
    return max if name in GREATEST else float.__add__


class _Families(Collector):
    def __init__(self, families: Families) -> None:
        self._families = families

    def describe(self) -> list[Metric]:
        """Describe nothing: names are unique already."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for family in self._families:
            metric = Metric(family.name, family.documentation, family.type)
            for each in family.samples:
                metric.add_sample(each.name, dict(each.labels), each.value)
            yield metric
