"""OpenTelemetry traces, if its SDK is installed and an endpoint is set; otherwise nothing of it is imported.

A trace has the facts of the access line: no path, no query, no image and no result.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from .logs import RequestOutcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger("visavis.traces")

TRACE_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
IN_ORDER = ("receive", "wait")  # stages one after the other; those of computing overlap, photo by photo
FAILED = 500
NS_PER_MS = 1_000_000
FLUSH_S = 2.0


@dataclass(frozen=True, slots=True)
class RequestObserver:
    """Calls `observe` with each request that has ended, and sends a trace of it if there is a provider."""

    observe: Callable[[RequestOutcome], None]
    provider: "TracerProvider | None" = None

    def __call__(self, outcome: RequestOutcome) -> None:
        """Observe and trace a request."""
        self.observe(outcome)
        if self.provider is not None:
            trace_request(self.provider.get_tracer("visavis"), outcome)

    def close(self) -> None:
        """Send the traces that are left; a collector that does not answer holds it up for 2 s at most."""
        if self.provider is not None:
            thread = threading.Thread(target=self.provider.shutdown, name="visavis-traces", daemon=True)
            thread.start()
            thread.join(FLUSH_S)


def traced(observe: Callable[[RequestOutcome], None], environment: Mapping[str, str] = os.environ) -> RequestObserver:
    """Return an observer that also sends traces if an endpoint is set and the SDK is installed."""
    if not any(environment.get(name) for name in TRACE_ENDPOINTS):
        return RequestObserver(observe)
    try:
        return RequestObserver(observe, _provider())
    except ModuleNotFoundError:
        log.warning("%s is set, but no traces are sent: pip install 'visavis[telemetry]'", " or ".join(TRACE_ENDPOINTS))
        return RequestObserver(observe)


def _provider() -> "TracerProvider":
    """Return what sends spans in the background, as the OTEL_ variables say. Raises ModuleNotFoundError."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only if asked for
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the same
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the same
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - the same

    known = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "visavis"), "service.version": version("visavis")}
    # At its own end the SDK would wait half a minute for a collector that does not answer.
    provider = TracerProvider(resource=Resource.create(known), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def trace_request(tracer: "Tracer", outcome: RequestOutcome) -> None:
    """Make the spans of a request that has just ended."""
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415 - only if asked for
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - the same

    end = time.time_ns()
    start = end - int(outcome.duration_ms * NS_PER_MS)
    carrier = {} if outcome.traceparent is None else {"traceparent": outcome.traceparent}
    parent = TraceContextTextMapPropagator().extract(carrier)
    name = f"{outcome.method} {outcome.route}"
    span = tracer.start_span(name, context=parent, kind=SpanKind.SERVER, attributes=_facts(outcome), start_time=start)
    inside = set_span_in_context(span, parent)
    for stage in IN_ORDER:
        if stage in outcome.stages_ms:
            child = tracer.start_span(stage, context=inside, start_time=start)
            start += int(outcome.stages_ms[stage] * NS_PER_MS)
            child.end(start)
    if outcome.stages_ms.keys() >= set(IN_ORDER):
        times = {f"visavis.{stage}_ms": spent for stage, spent in outcome.stages_ms.items() if stage not in IN_ORDER}
        tracer.start_span("compute", context=inside, attributes=times, start_time=start).end(end)
    _end(span, outcome, end)


def _facts(outcome: RequestOutcome) -> dict[str, str | int]:
    facts = {
        "http.request.method": outcome.method,
        "http.route": outcome.route,
        "http.response.status_code": outcome.status,
        "error.type": outcome.code,
        "visavis.request_id": outcome.request_id,
        "visavis.key_id": outcome.key_id,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _end(span: "Span", outcome: RequestOutcome, end: int) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - only if asked for

    if outcome.status is not None and outcome.status >= FAILED:
        span.set_status(StatusCode.ERROR)
    span.end(end)
