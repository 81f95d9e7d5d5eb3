"""On SIGTERM what was accepted is answered, what comes then is refused, and the process ends by its deadline."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from serving_process import PATIENCE_S, ROOT, serving

N_ANSWERED = 10  # before the service is stopped
SCRIPT = Path(__file__).with_name("stubborn_service.py")


@contextmanager
def stubborn(grace_s: float) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server whose computations take as long as the path says."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(grace_s)], stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
    )
    try:
        assert process.stderr is not None
        yield process, process.stderr.readline().strip()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


@contextmanager
def asking(url: str, path: str) -> Iterator[list[object]]:
    """A request in a thread of its own; gives the list that will have its outcome."""
    outcome: list[object] = []

    def ask() -> None:
        try:
            outcome.append(httpx2.get(f"{url}{path}", timeout=PATIENCE_S).text)
        except httpx2.HTTPError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    yield outcome
    thread.join(PATIENCE_S)


def test_what_is_computed_is_answered_and_new_requests_are_told_that_it_closes() -> None:
    with stubborn(20) as (process, url), asking(url, "/2") as outcome:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        new = httpx2.get(f"{url}/0", timeout=PATIENCE_S)
        assert new.headers["connection"] == "close"
        assert process.wait(PATIENCE_S) == 0
    assert outcome == ["done"]


def test_a_computation_that_does_not_end_is_left_at_the_deadline() -> None:
    with stubborn(1) as (process, url), asking(url, "/3600") as outcome:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 1
        assert time.monotonic() - began < 20
        said = process.stderr.read() if process.stderr else ""
    assert said == "visavis has ended after 1 s; 1 requests in progress were not answered.\n"
    assert outcome == [httpx2.RemoteProtocolError]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    with stubborn(60) as (process, url), asking(url, "/3600"):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(second)
        assert process.wait(PATIENCE_S) == 128 + second
        assert time.monotonic() - began < 20


def test_an_idle_service_stops_at_once() -> None:
    with stubborn(60) as (process, url):
        assert httpx2.get(f"{url}/0").text == "done"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 20


def test_under_load_every_request_in_the_log_is_answered(photos: dict[str, bytes]) -> None:
    files = {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}
    outcomes: dict[str, str] = {}

    def ask(number: int) -> None:
        with httpx2.Client(base_url=url, timeout=PATIENCE_S) as client:
            for n in range(10_000):
                request_id = f"{number}-{n}"
                outcomes[request_id] = asked(client, files, request_id)
                if outcomes[request_id] == "not accepted":
                    return

    with serving() as (process, url):
        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number) for number in range(8)]
            while len(outcomes) < N_ANSWERED:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        assert [client.exception() for client in clients] == [None] * 8
        said = process.communicate(timeout=PATIENCE_S)[1]
    logged = re.findall(r"POST /v1/verify \d+ \d+ ms id=(\d+-\d+)", said)
    assert process.returncode == 0
    assert {outcomes[each] for each in logged} <= {"same", "stopping"}
    assert len(logged) >= N_ANSWERED


def asked(client: httpx2.Client, files: dict[str, bytes], request_id: str) -> str:
    """One comparison: its verdict, the code of its problem, or that the service did not take it."""
    try:
        answer = client.post("/v1/verify", files=files, headers={"X-Request-Id": request_id})
    except httpx2.TransportError:
        return "not accepted"
    return "same" if answer.status_code == 200 and answer.json()["same"] else str(answer.json()["code"])


def test_readiness_says_that_it_stops_and_liveness_stays(photos: dict[str, bytes]) -> None:
    with serving() as (process, url), ExitStack() as stack:
        client, other, third = (stack.enter_context(httpx2.Client(base_url=url)) for _ in range(3))
        assert [each.get("/readyz").status_code for each in (client, other, third)] == [200] * 3
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["code"], ready.headers["connection"]) == (503, "stopping", "close")
        refused = other.post("/v1/verify", files={"probe": photos["001-neutral"]})
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert third.get("/healthz").status_code == 200
        assert process.wait(PATIENCE_S) == 0
