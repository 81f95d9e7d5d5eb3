"""Log lines: one format for all loggers, no line forged by a client, nothing about people."""

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from starlette.testclient import TestClient

from service.telemetry.logs import RequestOutcome, log_formatter

ROOT = Path(__file__).parents[2]
TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) \S+ ")
OUTCOME = RequestOutcome("abc", "POST", "/v1/verify", 422, "no_face", 12.345, "key1")
anything = st.text(max_size=50)


def _record(message: str, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("visavis.test", logging.WARNING, "file.py", 1, "%s", (message,), None)
    vars(record).update(extra)
    return record


@contextmanager
def _logged(log_format: str) -> Iterator[io.StringIO]:
    """What the service writes while the block runs; the client in this process has loggers of its own."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(log_formatter(log_format))
    ours = logging.getLogger("visavis")
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel("INFO")
    try:
        yield written
    finally:
        ours.removeHandler(handler)
        ours.setLevel(before)


@given(anything)
def test_a_message_of_a_client_begins_no_line_of_text(message: str) -> None:
    first, *others = log_formatter("text").format(_record(message)).split("\n")
    assert TEXT_LINE.match(first)
    assert all(line.startswith("    ") for line in others)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", "".join([first, *others]))


@given(anything)
def test_a_message_of_a_client_stays_in_its_json_line_and_is_whole(message: str) -> None:
    line = log_formatter("json").format(_record(message))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == message


def test_a_json_line_has_time_level_logger_and_message() -> None:
    record = _record("a")
    told = json.loads(log_formatter("json").format(record))
    assert list(told) == ["time", "level", "logger", "message"]
    assert (told["level"], told["logger"]) == ("warning", "visavis.test")
    assert datetime.fromisoformat(told["time"]).timestamp() == pytest.approx(record.created, abs=0.002)


def test_a_request_is_told_by_its_facts_and_only_those_that_it_has() -> None:
    told = json.loads(log_formatter("json").format(_record(str(OUTCOME), outcome=OUTCOME)))
    facts = {"request_id": "abc", "method": "POST", "route": "/v1/verify", "status": 422, "code": "no_face"}
    assert told.items() >= (facts | {"duration_ms": 12.35, "key_id": "key1"}).items()
    plain = RequestOutcome("abc", "GET", "/", 200, None, 1.0, None)
    assert not {"code", "key_id"} & json.loads(log_formatter("json").format(_record("", outcome=plain))).keys()
    assert str(OUTCOME) == "POST /v1/verify 422 12 ms id=abc code=no_face key=key1"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_is_part_of_its_line(log_format: str) -> None:
    error = ValueError("a\n2026-01-01 00:00:00,000 INFO forged")
    record = _record("it failed")
    record.exc_info = (ValueError, error, None)
    lines = log_formatter(log_format).format(record).splitlines()
    assert "forged" in "".join(lines)
    assert all(line.startswith("    ") for line in lines[1:])


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_a_client_sends_is_in_no_line(log_format: str, client: TestClient, photos: dict[str, bytes]) -> None:
    person = "jane-doe"
    with _logged(log_format) as written:
        client.get(f"/{person}?name={person}", headers={"X-Request-Id": f"{person}\n{person}"})
        client.request(person.upper().replace("-", ""), "/v1/verify")
        client.post("/v1/faces", files={"image": (f"{person}.jpg", photos["001-neutral"])}, data={person: "1"})
        client.post("/v1/faces", files={"image": (f"{person}.jpg", photos["001-neutral"])})
    lines = written.getvalue().splitlines()
    assert len([line for line in lines if "visavis.access" in line]) == len(lines) == 4
    assert person.replace("-", "") not in written.getvalue().lower().replace("-", "")
    assert "code=malformed_request" in lines[2] or '"code": "malformed_request"' in lines[2]


def test_every_line_of_a_served_process_is_json() -> None:
    program = (
        "import logging; from service.log_handler import start_log, say;"
        "from service.telemetry.logs import log_formatter; writer = start_log('info', log_formatter('json'));"
        "say('visavis is ready'); logging.getLogger('visavis.server').error('a\\nb'); writer.flush()"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(each["logger"], each["message"]) for each in told] == [
        ("visavis", "visavis is ready"),
        ("visavis.server", "a\nb"),
    ]
