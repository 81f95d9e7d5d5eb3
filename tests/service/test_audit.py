"""The audit log of a service: a line for each answer, on disk before it is sent; without a line, no answer."""

import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio import create_task_group
from live_service import until
from serving_process import COMMAND, PATIENCE_S, ROOT, serving
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from embedder import FaceEmbedder
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.audit.chain import ChainReader, verify_chain
from service.audit.log import MAX_REFUSALS, AuditLog, AuditRecorder
from service.audit.requests import AuditMiddleware
from service.errors import AuditUnavailable
from service.settings import Settings


@pytest.fixture
def pair(photos: dict[str, bytes]) -> dict[str, bytes]:
    return {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}


@pytest.fixture
def audited(tmp_path: Path, embedder: FaceEmbedder) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(audit=str(tmp_path / "audit")), embedder)) as opened:
        yield opened


def _lines(folder: Path, event: str = "request") -> list[dict[str, Any]]:
    reader = ChainReader(folder)
    found = [dict(line.fields) for line in reader if line.fields["event"] == event]
    assert reader.faults == []
    return found


def test_a_verification_has_a_line_with_what_was_considered_and_decided(
    audited: TestClient, pair: dict[str, bytes], tmp_path: Path
) -> None:
    answer = audited.post("/v1/verify", files=pair, headers={"X-Request-Id": "case-1"}).json()
    (line,) = _lines(tmp_path / "audit")
    assert (line["request_id"], line["route"], line["status"]) == ("case-1", "/v1/verify", 200)
    assert (line["model"], line["card_digest"]) == (answer["model"]["digest"], answer["model"]["card_digest"])
    assert line["considered"]["distances"] == [round(answer["distance"], 6)]
    assert line["considered"]["thresholds"] == [round(answer["threshold"], 6)]
    assert line["considered"]["operating_point"] == answer["operating_point"]["name"]
    assert line["decided"]["same"] == [answer["same"]] == [True]
    assert "key" not in line


def test_each_computing_route_has_its_line_and_none_holds_an_embedding(
    audited: TestClient, pair: dict[str, bytes], photos: dict[str, bytes], tmp_path: Path
) -> None:
    image = {"image": photos["001-neutral"]}
    many = [("probe", pair["probe"]), ("reference", pair["reference"]), ("reference", b"no image")]
    found = audited.post("/v1/embeddings", files=image).json()
    vector = found["embedding"]
    compare = {"probe": vector, "references": [vector], "model_digest": found["model"]["digest"]}
    answers = [
        audited.post("/v1/verify/many", files=many),
        audited.post("/v1/embeddings/compare", json=compare),
        audited.post("/v1/embeddings", files=image, data={"face": "all"}),
        audited.post("/v1/faces", files=image),
        audited.post("/v1/maps", files=image, data={"layer": audited.get("/v1/layers").json()["layers"][1]["name"]}),
        audited.post("/v1/explain", files=pair, data={"saliency": "false"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    lines = _lines(tmp_path / "audit")
    assert [line["route"] for line in lines] == [
        "/v1/embeddings", "/v1/verify/many", "/v1/embeddings/compare", "/v1/embeddings", "/v1/faces", "/v1/maps",
        "/v1/explain",
    ]  # fmt: skip
    assert lines[1]["decided"] == {"same": [True, None], "problems": [None, "not_an_image"]}
    assert (lines[2]["considered"]["distances"], lines[2]["decided"]["same"]) == ([0.0], [True])
    assert [line["considered"]["n_embeddings"] for line in (lines[0], lines[3])] == [1, 1]
    text = (tmp_path / "audit" / "audit-000001.jsonl").read_text()
    assert not any(repr(round(number, 4)) in text for number in vector if abs(number) > 0.01)
    assert max(map(len, text.splitlines())) < 1_500


def test_a_refusal_has_a_line_with_its_code(audited: TestClient, pair: dict[str, bytes], tmp_path: Path) -> None:
    audited.post("/v1/verify", files=pair | {"probe": b"no image"})
    audited.post("/v1/verify", json={})
    audited.post("/v1/nothing")
    audited.get("/v1/model")
    assert [(line["status"], line["problem"]["code"]) for line in _lines(tmp_path / "audit")] == [
        (415, "not_an_image"),
        (400, "malformed_request"),
    ]


def test_the_key_of_the_caller_is_named_and_a_request_without_one_as_well(
    tmp_path: Path, embedder: FaceEmbedder, pair: dict[str, bytes]
) -> None:
    made = KeyFile(tmp_path / "keys.json").create(KeyGrant("app", ("verify",)))
    settings = Settings(audit=str(tmp_path / "audit"), keys=str(tmp_path / "keys.json"))
    with TestClient(create_app(settings, embedder)) as client:
        key = {"Authorization": f"Bearer {made.text}"}
        assert client.post("/v1/verify", files=pair, headers=key).status_code == 200
        assert client.post("/v1/embeddings", files={"image": pair["probe"]}, headers=key).status_code == 403
        assert client.post("/v1/verify", files=pair).status_code == 401
    lines = _lines(tmp_path / "audit")
    assert [(line.get("key"), line["status"]) for line in lines] == [
        (made.record.id, 200),
        (made.record.id, 403),
        (None, 401),
    ]
    assert made.text not in "".join(file.read_text() for file in (tmp_path / "audit").iterdir())


def test_without_the_setting_nothing_is_written(client: TestClient, pair: dict[str, bytes], tmp_path: Path) -> None:
    assert client.post("/v1/verify", files=pair).status_code == 200
    assert list(tmp_path.iterdir()) == []


async def test_a_flood_of_refusals_is_counted_and_not_written(tmp_path: Path) -> None:
    now = 1_000.0
    recorder = AuditRecorder(AuditLog(tmp_path), clock=lambda: now)
    for _ in range(500):
        await recorder.record_refusal("request", {"status": 401}, key=None, code="unauthorized")
    await recorder.record_refusal("request", {"status": 403}, key="k1", code="forbidden")
    assert len(_lines(tmp_path)) == MAX_REFUSALS + 1
    now += 61
    await recorder.record("request", {"status": 200})
    (counted,) = _lines(tmp_path, "refusals")
    assert counted["counts"] == [{"key": None, "code": "unauthorized", "n": 500 - MAX_REFUSALS}]


async def test_a_client_that_leaves_is_recorded_as_well(tmp_path: Path) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    async def nothing(*_: object) -> Any:
        raise AssertionError("nobody is there to be answered")

    scope = {"type": "http", "method": "POST", "headers": [], "state": {"request_id": "r1"}}
    with pytest.raises(ClientDisconnect):
        await AuditMiddleware(app, AuditRecorder(AuditLog(tmp_path)))(scope, nothing, nothing)
    (line,) = _lines(tmp_path)
    assert (line["request_id"], line["status"], line["problem"]["code"]) == ("r1", 499, "client_left")


async def test_requests_that_wait_together_share_one_fsync(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    batches = list[int]()
    append = log.append
    log.append = lambda events: (batches.append(len(events)), append(events))[1]  # type: ignore[method-assign]
    recorder = AuditRecorder(log)
    async with create_task_group() as group:
        for number in range(50):
            group.start_soon(recorder.record, "request", {"n": number})
    assert sum(batches) == 50
    assert len(batches) <= 3
    assert sorted(line["n"] for line in _lines(tmp_path)) == list(range(50))


async def test_a_failed_write_is_told_to_all_that_wait_and_tried_again_after_a_second(tmp_path: Path) -> None:
    now = 1_000.0
    log = AuditLog(tmp_path)
    recorder = AuditRecorder(log, clock=lambda: now)
    with _no_file_may_grow(os.getpid()):
        with pytest.raises(AuditUnavailable):
            await recorder.record("request", {"n": 1})
        now += 2
        with pytest.raises(AuditUnavailable):
            await recorder.require_writable()
    with pytest.raises(AuditUnavailable):  # the second after the attempt is not over
        await recorder.require_writable()
    now += 2
    await recorder.require_writable()
    await recorder.record("request", {"n": 2})
    assert [line["n"] for line in _lines(tmp_path)] == [2]
    assert [line["reason"] for line in _lines(tmp_path, "opened")] == ["start", "failure"]


@contextmanager
def _no_file_may_grow(process: int) -> Iterator[None]:
    """Let every write of a process fail, as on a full disk."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


def _serving(folder: Path) -> AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    """A service with an audit log; its log goes to a pipe, which has no size limit."""
    return serving(VISAVIS_AUDIT=str(folder), VISAVIS_LOG_LEVEL="warning")


def test_while_the_log_cannot_be_written_nothing_is_answered_and_the_service_is_not_ready(
    tmp_path: Path, pair: dict[str, bytes]
) -> None:
    with _serving(tmp_path / "audit") as (process, url), httpx2.Client(base_url=url, timeout=PATIENCE_S) as http:
        assert http.post("/v1/verify", files=pair).status_code == 200
        with _no_file_may_grow(process.pid):
            for _ in range(3):
                refused = http.post("/v1/verify", files=pair)
                assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
                assert "distance" not in refused.text
                assert refused.headers["x-content-type-options"] == "nosniff"
            assert http.get("/readyz").json()["code"] == "audit_unavailable"
            assert http.get("/healthz").status_code == 200
        until(lambda: http.get("/readyz").status_code == 200)
        assert http.post("/v1/verify", files=pair).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert [line["status"] for line in _lines(tmp_path / "audit")] == [200, 200]
    assert len(_lines(tmp_path / "audit", "closed")) == 1


def _ask_until_it_is_gone(url: str, pair: dict[str, bytes], answered: list[str]) -> None:
    """Send verifications one after the other, and add the ids of the answers that arrive."""
    with suppress(httpx2.TransportError), httpx2.Client(base_url=url, timeout=PATIENCE_S) as http:
        while True:
            answered.append(http.post("/v1/verify", files=pair).json()["request_id"])


def test_after_a_kill_under_load_every_answer_that_arrived_is_in_a_whole_log(
    tmp_path: Path, pair: dict[str, bytes]
) -> None:
    folder, answered = tmp_path / "audit", list[str]()
    with _serving(folder) as (process, url), ThreadPoolExecutor(6) as clients:
        for _ in range(6):
            clients.submit(_ask_until_it_is_gone, url, pair, answered)
        until(lambda: len(answered) >= 12)
        process.kill()
    AuditLog(folder).close()  # as the next service does at its start
    lines = _lines(folder)
    assert set(answered) <= {line["request_id"] for line in lines}
    assert len(lines) <= len(answered) + 6
    assert len(_lines(folder, "opened")) == 2
    assert verify_chain(folder).n_faults == 0


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {**os.environ, "VISAVIS_AUDIT": str(tmp_path / "file")}
    ended = subprocess.run([*COMMAND, "--port", "0"], capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert ended.returncode == 2
    assert "is not a folder that the service may write" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_line_is_json_that_other_programs_read(audited: TestClient, pair: dict[str, bytes], tmp_path: Path) -> None:
    audited.post("/v1/verify", files=pair)
    for line in (tmp_path / "audit" / "audit-000001.jsonl").read_bytes().splitlines():
        assert line == json.dumps(json.loads(line), separators=(",", ":")).encode()
