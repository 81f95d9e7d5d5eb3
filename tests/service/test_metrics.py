"""Metrics: what is counted, on which port, for whom; no label is what a client sent."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from live_service import until
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.access.caller import Scope
from service.access.control import HostNames
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.settings import Settings
from service.telemetry.logs import RequestOutcome
from service.telemetry.metrics import CODES, QUALITY, ServiceMetrics
from service.telemetry.metrics_server import MAX_CONNECTIONS, metrics_served

HOSTS = HostNames.of(Settings(hosts="metrics.example.org"))
IN_FLIGHT = "visavis_in_flight"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def watched(embedder: FaceEmbedder) -> Iterator[TestClient]:
    """A service of its own, so that nothing else counts."""
    with TestClient(create_app(Settings(), embedder)) as client:
        until(lambda: client.get("/readyz").status_code == 200)  # after the first inference, which is a batch
        yield client


def _metrics(client: TestClient) -> ServiceMetrics:
    found: ServiceMetrics = client.app.state.metrics  # type: ignore[attr-defined]
    return found


def _samples(client: TestClient) -> Samples:
    families = text_string_to_metric_families(_metrics(client).text().decode())
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def _value(client: TestClient, name: str, **labels: str) -> float:
    return _samples(client).get((name, frozenset(labels.items())), 0.0)


def _labels(client: TestClient) -> set[str]:
    return {value for _, labels in _samples(client) for _, value in labels}


def _pair(photos: dict[str, bytes], probe: str, reference: str) -> dict[str, bytes]:
    return {"probe": photos[probe], "reference": photos[reference]}


def test_a_comparison_is_counted_with_its_stages_verdict_distance_and_qualities(
    watched: TestClient, photos: dict[str, bytes]
) -> None:
    answer = watched.post("/v1/verify", files=_pair(photos, "001-neutral", "001-smiling")).json()
    point, route = answer["operating_point"]["name"], "/v1/verify"
    assert _value(watched, "visavis_requests_total", method="POST", route=route, status="200", code="") == 1
    assert _value(watched, "visavis_verdicts_total", operating_point=point, verdict="same") == 1
    assert _value(watched, "visavis_distance_sum", verdict="same") == pytest.approx(answer["distance"])
    spent = {stage: _value(watched, "visavis_request_seconds_sum", route=route, stage=stage) for stage in STAGES}
    assert all(value > 0 for value in spent.values())
    assert spent["embed"] * 1000 == pytest.approx(answer["timings_ms"]["embed"], abs=0.01)
    assert spent["total"] * 1000 >= answer["timings_ms"]["total"]
    for measure in QUALITY:
        name = f"visavis_face_{measure}"
        sides = [answer[side] for side in ("probe", "reference")]
        told = sum(side["score"] if measure == "detector_score" else side["quality"][measure] for side in sides)
        assert (_value(watched, f"{name}_count"), _value(watched, f"{name}_sum")) == (2, pytest.approx(told))


STAGES = ("receive", "wait", "decode", "detect", "embed", "total")


def test_each_reference_of_many_counts_and_so_does_each_that_was_refused(
    watched: TestClient, photos: dict[str, bytes]
) -> None:
    references = [photos["001-smiling"], b"not an image", photos["005-neutral"]]
    parts = [("probe", photos["001-neutral"]), *(("reference", each) for each in references)]
    watched.post("/v1/verify/many", files=parts, data={"threshold": "1.0"})
    for verdict in ("same", "different"):
        assert _value(watched, "visavis_verdicts_total", operating_point="own threshold", verdict=verdict) == 1
    assert _value(watched, "visavis_refused_images_total", code="not_an_image") == 1
    assert _value(watched, "visavis_face_sharpness_count") == 3


def test_refusals_are_counted_by_code(watched: TestClient, photos: dict[str, bytes]) -> None:
    watched.post("/v1/verify", files={**_pair(photos, "001-neutral", "001-smiling"), "probe": b"nothing"})
    watched.post("/v1/verify")
    assert _value(watched, "visavis_refused_images_total", code="not_an_image") == 1
    labels = {"method": "POST", "route": "/v1/verify", "status": "415"}
    assert _value(watched, "visavis_requests_total", code="not_an_image", **labels) == 1
    assert _value(watched, "visavis_requests_total", code="unsupported_media_type", **labels) == 1


def test_embeddings_and_explanations_are_observed(watched: TestClient, photos: dict[str, bytes]) -> None:
    watched.post("/v1/embeddings", files={"image": photos["001-neutral"]})
    watched.post("/v1/embeddings?face=all", files={"image": photos["001-neutral"]})
    watched.post("/v1/explain?saliency=false", files=_pair(photos, "001-neutral", "005-neutral"))
    assert _value(watched, "visavis_face_covered_count") == 4
    assert _value(watched, "visavis_distance_count", verdict="different") == 1


def test_no_label_is_what_a_client_sent(watched: TestClient, photos: dict[str, bytes]) -> None:
    before = _labels(watched)
    person = "janedoe"
    for number in range(20):
        name = f"{person}{number}"
        watched.request(name.upper(), f"/{name}", headers={"Host": name, "X-Request-Id": name, "User-Agent": name})
        watched.get(f"/page/{name}.css?{name}={name}")
        watched.post("/v1/faces", files={name: (name, b"x", name)}, data={name: name})
        watched.post(f"/v1/verify?operating_point={name}", files=_pair(photos, "001-neutral", "001-smiling"))
    new = _labels(watched) - before
    assert person not in " ".join(new).lower()
    assert len(new) < 40


def test_the_codes_are_those_of_the_table(watched: TestClient) -> None:
    watched.get("/nowhere")
    assert {value for _, labels in _samples(watched) for name, value in labels if name == "code"} - {""} <= CODES


def test_the_state_is_that_of_the_service(watched: TestClient, embedder: FaceEmbedder) -> None:
    text = _metrics(watched).text().decode()
    identity = embedder.identity
    assert all(told in text for told in (identity.name, identity.digest, identity.card_digest, "openvino f32"))
    in_flight = {dict(labels)["phase"]: n for (name, labels), n in _samples(watched).items() if name == IN_FLIGHT}
    assert in_flight == {"receiving": 0, "waiting": 0, "computing": 0}
    assert _value(watched, "visavis_slots") == 34
    assert _value(watched, "process_resident_memory_bytes") > 50e6
    assert _value(watched, "process_open_fds") > 0


def test_the_sizes_of_batches_are_those_of_the_passes(watched: TestClient, photos: dict[str, bytes]) -> None:
    before = (_value(watched, "visavis_batch_chips_count"), _value(watched, "visavis_batch_chips_sum"))
    watched.post("/v1/verify", files=_pair(photos, "001-neutral", "001-smiling"))
    after = (_value(watched, "visavis_batch_chips_count"), _value(watched, "visavis_batch_chips_sum"))
    assert (after[0] - before[0], after[1] - before[1]) == (1, 2)
    buckets = [value for (name, _), value in _samples(watched).items() if name == "visavis_batch_chips_bucket"]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after[0]


def test_without_a_key_the_main_port_does_not_have_them(watched: TestClient) -> None:
    answer = watched.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "VISAVIS_METRICS_PORT" in answer.json()["detail"]
    assert "/metrics" not in watched.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize(("scope", "status"), [("metrics", 200), ("verify", 403)])
def test_a_key_with_the_scope_reads_them_on_the_main_port(
    scope: Scope, status: int, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    key = KeyFile(tmp_path / "keys.json").create(KeyGrant("a key", (scope,)))
    client = TestClient(create_app(Settings(keys=str(tmp_path / "keys.json")), embedder))
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {key.text}"})
    assert answer.status_code == status
    assert ("visavis_slots 34.0" in answer.text) == (status == 200)
    assert client.get("/metrics").status_code == 401
    assert _value(client, "visavis_requests_total", method="GET", route="(no route)", status="401", code="unauthorized")


@contextmanager
def _own_port(client: TestClient) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener, metrics_served(_metrics(client), HOSTS, listener):
        yield listener.getsockname()[1]


def test_the_own_port_serves_them_alone(watched: TestClient) -> None:
    with _own_port(watched) as port:
        answer = httpx2.get(f"http://127.0.0.1:{port}/metrics")
        assert (answer.status_code, "visavis_slots 34.0" in answer.text) == (200, True)
        assert httpx2.get(f"http://127.0.0.1:{port}/v1/model").status_code == 404
        assert httpx2.post(f"http://127.0.0.1:{port}/metrics").status_code == 501


@pytest.mark.parametrize(
    ("host", "status"), [("metrics.example.org:9464", 200), ("[::1]", 200), ("rebound.example.com", 421), ("", 421)]
)
def test_the_own_port_is_reached_under_its_names_only(watched: TestClient, host: str, status: int) -> None:
    with _own_port(watched) as port:
        answer = httpx2.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": host})
    assert (answer.status_code, "visavis_slots" in answer.text) == (status, status == 200)


def test_sockets_that_send_nothing_take_no_more_than_their_places(watched: TestClient) -> None:
    with _own_port(watched) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(MAX_CONNECTIONS + 4)]
        time.sleep(0.2)
        for each in idle:
            each.close()
        time.sleep(0.2)
        assert httpx2.get(f"http://127.0.0.1:{port}/metrics").status_code == 200


def test_slow_sockets_do_not_keep_the_port_from_others(watched: TestClient) -> None:
    with _own_port(watched) as port, ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(3):
            assert httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=2).status_code == 200


def test_concurrent_requests_are_all_counted(watched: TestClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: watched.get("/healthz"), range(64)))
    labels = {"method": "GET", "route": "/healthz", "status": "200", "code": ""}
    assert _value(watched, "visavis_requests_total", **labels) == 64


def test_names_follow_the_conventions(watched: TestClient) -> None:
    for family in text_string_to_metric_families(_metrics(watched).text().decode()):
        assert re.fullmatch(r"(visavis|process|python)_[a-z_]+", family.name)
        assert family.documentation


def test_observing_a_comparison_costs_less_than_a_hundredth_of_it(
    watched: TestClient, embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    pair, metrics, repeats = (photos["001-neutral"], photos["001-smiling"]), _metrics(watched), 500
    comparison = embedder.verify(*pair)
    stages = dict.fromkeys(("receive", "wait", "decode", "detect", "embed"), 1.0)
    outcome = RequestOutcome("id", "POST", "/v1/verify", 200, None, 5.0, None, None, stages)
    started = time.process_time()
    embedder.verify(*pair)
    compared = time.process_time()
    for _ in range(repeats):
        metrics.observe((comparison, "refuse"))
        metrics.count(outcome)
    assert (time.process_time() - compared) / repeats < (compared - started) / 100
