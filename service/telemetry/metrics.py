"""Prometheus metrics of one service. Every label is from a short list of our own, never from what a client sends."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from embedder import (
    Comparison,
    ComparisonBatch,
    Embedding,
    EmbeddingBatch,
    Judgement,
    ModelIdentity,
    OperatingPoint,
    Sample,
    SampleError,
)
from embedder.explain import Explanation
from gallery import Enrolment, EnrolmentRefused, Identification, Identified, PersonComparison, Receipt

from ..problem_types import TABLE
from .logs import OTHER, RequestOutcome, log_request

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
DISTANCES = tuple(round(0.05 * step, 2) for step in range(4, 33))  # 0.2 to 1.6, where faces lie
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # chips
TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# A measure of quality -> its help and the upper ends of its buckets.
QUALITY: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "sharpness": ("Sharpness; about 0.7 is usual, 0.2 blurred.", TENTHS),
    "eye_distance_px": ("Distance between the eyes in px.", (10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 640)),
    "brightness": ("Mean grey level, 0 to 255.", (20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220)),
    "detector_score": ("Confidence of the detector, 0 to 1.", (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)),
    "covered": ("Covered share of the part that is covered most, 0 to 1.", TENTHS),
}  # fmt: skip
CODES = frozenset(error.code for error in TABLE)
IMAGE_CODES = frozenset(error.code for error in TABLE if issubclass(error, SampleError))
OWN_THRESHOLD = "own threshold"  # of a request that named no operating point


@dataclass(frozen=True, slots=True)
class GalleryTotals:
    """How much all galleries hold together, as counted last."""

    galleries: int = 0
    people: int = 0
    templates: int = 0  # of all models
    largest_gallery: int = 0  # templates of the one that has most


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is true of the service now."""

    is_ready: bool
    n_slots: int
    in_phase: Mapping[str, int]  # receiving, waiting, computing -> number of requests
    n_bytes: int  # held by requests
    max_bytes: int  # that requests may hold
    model: ModelIdentity
    runtime: str  # runtime, precision and device
    batch_sizes: Mapping[int, int]  # chips of a pass -> number of passes, since the model was loaded
    n_reloads: Mapping[str, int]  # success, failure -> number of reloads
    is_last_reload_successful: bool  # also without any reload
    galleries: GalleryTotals | None  # None = the service keeps none


class ServiceMetrics:
    """The metrics of one service, in a registry of its own. Thread-safe."""

    def __init__(self, state: Callable[[], ServiceState]) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "visavis_requests",
            "Requests answered, by outcome.",
            ("method", "route", "status", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "visavis_request_seconds", "Time of a request, by stage.", ("route", "stage"),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._verdicts = Counter(
            "visavis_verdicts", "Comparisons decided.", ("operating_point", "verdict"), registry=registry
        )
        self._refused = Counter("visavis_refused_images", "Images that were not used.", ("code",), registry=registry)
        self._distances = Histogram(
            "visavis_distance", "Distances of compared faces.", ("verdict",), buckets=DISTANCES, registry=registry
        )
        self._quality = {
            name: Histogram(f"visavis_face_{name}", text, buckets=buckets, registry=registry)
            for name, (text, buckets) in QUALITY.items()
        }
        self._identified = Counter(
            "visavis_identified_faces", "Faces looked for in a gallery.", ("outcome",), registry=registry
        )
        self._enrolled = Counter("visavis_enrolled_photos", "Photos enrolled.", ("outcome",), registry=registry)
        self._forgotten = Counter("visavis_forgotten_templates", "Templates forgotten.", ("kind",), registry=registry)
        for collector in (ProcessCollector, PlatformCollector):
            collector(registry=registry)
        registry.register(StateCollector(state))

    def ended(self, outcome: RequestOutcome) -> None:
        """Log a request that has ended, and count it."""
        log_request(outcome)
        self.count(outcome)

    def count(self, outcome: RequestOutcome) -> None:
        """Count a request and observe its stages."""
        code = "" if outcome.code is None else _known(outcome.code)
        self._requests.labels(outcome.method, outcome.route, str(outcome.status), code).inc()
        if code in IMAGE_CODES:
            self._refused.labels(code).inc()
        stages = {**outcome.stages_ms, "total": outcome.duration_ms}
        for stage, spent_ms in stages.items():
            self._seconds.labels(outcome.route, stage).observe(spent_ms / 1000)

    def observe(self, result: object) -> None:
        """Observe verdicts, distances, qualities and refused photos in the result of a request; others are ignored."""
        if isinstance(result, tuple):  # with the options of its request
            self.observe(result[0])
        elif isinstance(result, Explanation):
            self._compared(result.comparison)
        elif isinstance(result, Comparison):
            self._compared(result)
        elif isinstance(result, ComparisonBatch):
            self._compared_many(result)
        elif isinstance(result, Embedding):
            self._sampled(result.sample)
        elif isinstance(result, EmbeddingBatch):
            self._embedded_many(result)
        else:
            self._observe_galleries(result)

    def forgot(self, receipt: Receipt) -> None:
        """Count templates that were forgotten."""
        self._forgotten.labels(receipt.kind).inc(receipt.n_templates)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe_galleries(self, result: object) -> None:
        if isinstance(result, Identification):
            self._identified.labels("match" if result.match else "nobody").inc()
        elif isinstance(result, Receipt):
            self.forgot(result)
        elif isinstance(result, Enrolment):
            self._enrolled.labels("new").inc(len(result.added))
            self._enrolled.labels("already there").inc(len(result.already_there))
        elif isinstance(result, EnrolmentRefused):
            self._not_enrolled(result)
        elif isinstance(result, Identified):
            for each in result.faces:
                self._sampled(each.sample)
                self._observe_galleries(each.identification)
        elif isinstance(result, PersonComparison):
            self._judged(result.judgement, result.operating_point)
            self._sampled(result.probe)

    def _not_enrolled(self, refused: EnrolmentRefused) -> None:
        code_of = {each.photo: each.code for each in reversed(refused.refusals)}  # the first of each photo
        for code in code_of.values():
            self._refused.labels(code).inc()

    def _compared_many(self, batch: ComparisonBatch) -> None:
        compared = [each for each in batch.results if isinstance(each, Comparison)]
        if compared:
            self._sampled(compared[0].probe)
        for each in batch.results:
            if isinstance(each, Comparison):
                self._judged(each, each.operating_point)
                self._sampled(each.reference)
            else:
                self._refused.labels(_known(each.code)).inc()

    def _embedded_many(self, batch: EmbeddingBatch) -> None:
        for each in batch.results:
            if isinstance(each, SampleError):
                self._refused.labels(_known(each.code)).inc()
            else:
                for embedding in each:
                    self._sampled(embedding.sample)

    def _compared(self, comparison: Comparison) -> None:
        self._judged(comparison, comparison.operating_point)
        self._sampled(comparison.probe)
        self._sampled(comparison.reference)

    def _judged(self, judged: Judgement, point: OperatingPoint | None) -> None:
        verdict = "same" if judged.same else "different"
        self._verdicts.labels(OWN_THRESHOLD if point is None else point.name, verdict).inc()
        self._distances.labels(verdict).observe(judged.distance)

    def _sampled(self, sample: Sample) -> None:
        for name, histogram in self._quality.items():
            value = sample.face.score if name == "detector_score" else getattr(sample.quality, name)
            histogram.observe(value)


def _known(code: str) -> str:
    return code if code in CODES else OTHER


class StateCollector(Collector):
    """Reads the state of the service whenever the metrics are asked for."""

    def __init__(self, state: Callable[[], ServiceState]) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        """Describe nothing, so that registering does not read the state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the state as gauges, and the sizes of batches as a histogram."""
        state = self._state()
        yield GaugeMetricFamily("visavis_ready", "1 after the first inference, else 0.", value=state.is_ready)
        yield GaugeMetricFamily("visavis_slots", "Requests that may wait or be computed.", value=state.n_slots)
        in_flight = GaugeMetricFamily("visavis_in_flight", "Requests in progress, by phase.", labels=["phase"])
        for phase, n in state.in_phase.items():
            in_flight.add_metric([phase], n)
        yield in_flight
        yield GaugeMetricFamily("visavis_held_bytes", "Bytes that requests hold.", value=state.n_bytes)
        yield GaugeMetricFamily("visavis_held_bytes_limit", "Bytes that requests may hold.", value=state.max_bytes)
        yield from reload_metrics(state.n_reloads, is_last_successful=state.is_last_reload_successful)
        yield from _galleries(state.galleries)
        yield _batches(state.batch_sizes)
        yield InfoMetricFamily("visavis_build", "The version and the served model.", _build(state))


def reload_metrics(n_reloads: Mapping[str, int], *, is_last_successful: bool) -> Iterator[Metric]:
    """Yield the numbers of reloads by outcome, and whether the last one succeeded."""
    last = "visavis_last_reload_successful"
    yield GaugeMetricFamily(last, "0 if the last reload failed.", value=is_last_successful)
    reloads = CounterMetricFamily("visavis_reloads", "Reloads of the model, by outcome.", labels=["outcome"])
    for outcome, n in n_reloads.items():
        reloads.add_metric([outcome], n)
    yield reloads


def _build(state: ServiceState) -> dict[str, str]:
    model = state.model
    digests = {"digest": model.digest, "card_digest": model.card_digest}
    return {"version": version("visavis"), "model": model.name, "runtime": state.runtime, **digests}


def _galleries(totals: GalleryTotals | None) -> Iterator[Metric]:
    if totals is None:
        return
    held = GaugeMetricFamily("visavis_gallery", "What all galleries hold, counted once a minute.", labels=["kind"])
    for kind, n in asdict(totals).items():
        held.add_metric([kind], n)
    yield held


def _batches(sizes: Mapping[int, int]) -> HistogramMetricFamily:
    ends = [(str(float(end)), sum(n for size, n in sizes.items() if size <= end)) for end in BATCHES]
    return HistogramMetricFamily(
        "visavis_batch_chips",
        "Faces in one pass of the network.",
        buckets=[*ends, ("+Inf", sum(sizes.values()))],
        sum_value=sum(size * n for size, n in sizes.items()),
    )
