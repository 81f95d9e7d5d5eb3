"""The metrics of several processes as one: what is added, what is not, and that no counter ever falls."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry.summed_metrics import Families, GroupMetrics, GroupState, as_text, families_of, summed

STATE = GroupState(True, 2, 2, 0, {"success": 0}, True)  # noqa: FBT003 - a record

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Process:
    """A registry as a worker has one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("visavis_requests", "Requests.", ("status",), registry=self.registry)
        self.seconds = Histogram("visavis_request_seconds", "Time.", buckets=(0.1, 1), registry=self.registry)
        self.slots = Gauge("visavis_slots", "Places.", registry=self.registry)
        self.ready = Gauge("visavis_ready", "Ready.", registry=self.registry)

    def families(self) -> Families:
        return families_of(self.registry)


def _samples(text: bytes) -> Samples:
    families = text_string_to_metric_families(text.decode())
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def _value(text: bytes, name: str, **labels: str) -> float:
    return _samples(text)[name, frozenset(labels.items())]


def test_one_process_reads_as_its_own_registry_does() -> None:

    process = Process()
    process.requests.labels("200").inc(3)
    process.seconds.observe(0.5)
    assert _samples(as_text(process.families())) == _samples(generate_latest(process.registry))


def test_counts_are_added_and_readiness_is_the_least() -> None:
    one, other = Process(), Process()
    one.requests.labels("200").inc(3)
    other.requests.labels("200").inc(4)
    other.requests.labels("503").inc()
    one.seconds.observe(0.05)
    other.seconds.observe(0.5)
    one.slots.set(17)
    other.slots.set(17)
    one.ready.set(1)
    text = as_text(summed([one.families(), other.families()]))
    assert _value(text, "visavis_requests_total", status="200") == 7
    assert _value(text, "visavis_requests_total", status="503") == 1
    assert [_value(text, "visavis_request_seconds_bucket", le=le) for le in ("0.1", "1.0", "+Inf")] == [1, 2, 2]
    assert _value(text, "visavis_request_seconds_count") == 2
    assert _value(text, "visavis_slots") == 34
    assert _value(text, "visavis_ready") == 0


def test_no_counter_falls_when_a_process_ends_and_another_takes_its_place() -> None:
    one, other = Process(), Process()
    living = {1: one.families, 2: other.families}
    metrics = GroupMetrics(lambda: living, lambda: STATE)
    one.requests.labels("200").inc(3)
    other.requests.labels("200").inc(4)
    one.slots.set(17)
    assert _value(metrics.text(), "visavis_requests_total", status="200") == 7
    metrics.retire(1)
    del living[1]
    assert _value(metrics.text(), "visavis_requests_total", status="200") == 7
    assert _value(metrics.text(), "visavis_slots") == 0
    living[3] = (new := Process()).families
    new.requests.labels("200").inc()
    assert _value(metrics.text(), "visavis_requests_total", status="200") == 8


def test_a_process_that_does_not_answer_counts_as_it_did() -> None:
    def mute() -> Families:
        raise LookupError

    one = Process()
    living = {1: one.families}
    metrics = GroupMetrics(lambda: living, lambda: STATE)
    one.requests.labels("200").inc(3)
    metrics.read()
    living[1] = mute
    assert _value(metrics.text(), "visavis_requests_total", status="200") == 3
