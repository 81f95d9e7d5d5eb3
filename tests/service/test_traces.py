"""Traces are sent only if an endpoint is set and the SDK is installed; they say nothing about people."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from live_service import until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.settings import Settings
from service.telemetry.logs import RequestOutcome
from service.telemetry.traces import RequestObserver, traced

ROOT = Path(__file__).parents[2]
PARENT = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
IMPORTED = """import sys
from service.app import create_app
from service.telemetry.traces import traced
observer = traced(print)
heavy = ("opentelemetry.sdk", "opentelemetry.exporter")
print(observer.provider is None, any(name.startswith(heavy) for name in sys.modules))
"""


@contextmanager
def _collector() -> Iterator[tuple[str, list[Span]]]:
    """A collector of traces on this machine; gives its address and the spans that arrive."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = ExportTraceServiceRequest.FromString(body)
            spans.extend(
                span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", spans
        finally:
            server.shutdown()
            thread.join()


def _attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Span]]:
    with _collector() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield spans


def test_a_comparison_is_a_span_with_its_stages_inside(
    collected: list[Span], embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    files = {
        part: ("jane-doe.jpg", photos[name]) for part, name in (("probe", "001-neutral"), ("reference", "001-smiling"))
    }
    client = TestClient(create_app(Settings(), embedder))
    client.post("/v1/verify", files=files, headers={"traceparent": PARENT, "X-Request-Id": "seven"})
    until(lambda: len(collected) == 4)
    spans = {span.name: span for span in collected}
    request = spans.pop("POST /v1/verify")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    told = {"http.route": "/v1/verify", "http.response.status_code": "200", "visavis.request_id": "seven"}
    assert _attributes(request).items() >= told.items()
    assert list(spans) == ["receive", "wait", "compute"]
    ends = [request.start_time_unix_nano]
    for span in spans.values():
        assert span.parent_span_id == request.span_id
        assert span.start_time_unix_nano == ends[-1]
        ends.append(span.end_time_unix_nano)
    assert ends == sorted(ends)
    assert ends[-1] == request.end_time_unix_nano


def test_nothing_that_a_client_names_is_in_a_trace(
    collected: list[Span], embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    client = TestClient(create_app(Settings(), embedder))
    client.get("/jane-doe?name=jane-doe", headers={"traceparent": "jane-doe", "tracestate": "jane=doe"})
    client.post("/v1/faces", files={"image": ("jane-doe.jpg", photos["001-neutral"])}, data={"jane-doe": "jane-doe"})
    until(lambda: len(collected) >= 2)
    assert "jane" not in " ".join(map(str, collected))
    assert {_attributes(span).get("error.type") for span in collected} >= {"not_found", "malformed_request"}


def test_without_an_endpoint_nothing_of_the_sdk_is_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout.split() == ["True", "False"]


def test_without_the_sdk_the_service_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)

    def observe(_: RequestOutcome) -> None:
        """Observe nothing."""

    assert traced(observe, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) == RequestObserver(observe)
    assert "pip install 'visavis[telemetry]'" in caplog.text


def test_the_end_sends_what_is_left_and_does_not_wait_for_a_collector_that_is_silent(
    collected: list[Span], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    outcome = RequestOutcome("id", "GET", "/healthz", 200, None, 1.0, None)
    observer = traced(print)
    observer(outcome)
    observer.close()
    assert [span.name for span in collected] == ["GET /healthz"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "4")
        observer = traced(print)
        observer(outcome)
        start = time.monotonic()
        observer.close()
        assert time.monotonic() - start < 20  # the library by itself waits 30 s
