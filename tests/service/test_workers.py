"""Several workers on one port: real processes and sockets; what they share, and what happens when one is killed."""

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep

import pytest
from child_processes import is_running
from serving_process import COMMAND, PATIENCE_S, ROOT
from worker_group import Caller, Group, calling, group, until

from service.access.keys import KeyFile, KeyGrant
from service.audit.chain import ChainReader, verify_chain
from service.settings import Settings, load_settings
from service.startup_check import check

N_CALLERS, N_REQUESTS = 4, 5
LIMIT = 10
LOST = "connection lost"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    """A key for everything, and one with a limit."""
    file = KeyFile(folder / "keys.json")
    scopes = ("verify", "enrol", "identify", "forget", "metrics", "admin")
    grants = KeyGrant("all", scopes), KeyGrant("limited", ("verify",), rate=f"{LIMIT}/hour")
    return {each.name: file.create(each).text for each in grants}


@pytest.fixture(scope="module")
def two(folder: Path, keys: dict[str, str]) -> Iterator[Group]:
    """Two workers with keys, an audit log and a gallery."""
    assert keys
    (folder / "visavis.toml").write_text('model = "sface-128"\n')
    options = {
        "--config": folder / "visavis.toml",
        "--keys": folder / "keys.json",
        "--gallery": f"sqlite:///{folder / 'gallery.db'}",
    }
    arguments = [str(each) for option in options.items() for each in option]
    with group(*arguments, VISAVIS_AUDIT=str(folder / "audit")) as started:
        yield started


@pytest.fixture
def pair(photos: dict[str, bytes]) -> dict[str, bytes]:
    return {"probe": photos["001-neutral"], "reference": photos["001-smiling"]}


@pytest.fixture
def both(two: Group, keys: dict[str, str]) -> Iterator[list[Caller]]:
    """A client of each worker."""
    with calling(two, N_CALLERS, keys["all"]) as callers:
        yield one_of_each(two, callers)


def one_of_each(two: Group, callers: list[Caller]) -> list[Caller]:
    """One of the clients of each worker; of two that connect while others leave, one worker may get both."""
    found = {two.worker_of(each): each for each in callers}
    assert len(found) == 2
    return list(found.values())


@contextmanager
def verifying(callers: list[Caller], pair: dict[str, bytes]) -> Iterator[Callable[[], list[tuple[int | str, str]]]]:
    """Let clients verify without a pause; gives status and id of all their requests."""
    outcomes: list[tuple[int | str, str]] = []
    has_ended = threading.Event()

    def go_on(name: int) -> None:
        for number in range(10**6):
            if has_ended.is_set():
                return
            request_id = f"load-{name}-{number}"
            try:
                status, _ = callers[name].ask("POST", "/v1/verify", pair, X_Request_Id=request_id)
            except (OSError, HTTPException):
                outcomes.append((LOST, request_id))
                sleep(0.1)
            else:
                outcomes.append((status, request_id))

    with ThreadPoolExecutor(len(callers)) as threads:
        for name in range(len(callers)):
            threads.submit(go_on, name)
        try:
            yield lambda: list(outcomes)
        finally:
            has_ended.set()


def test_connections_are_divided_and_metrics_add_up(two: Group, keys: dict[str, str], pair: dict[str, bytes]) -> None:
    def ask(caller: Caller) -> list[int]:
        return [caller.ask("POST", "/v1/verify", pair)[0] for _ in range(N_REQUESTS)]

    before = two.sample("visavis_requests_total", route="/v1/verify")
    with calling(two, N_CALLERS, keys["all"]) as callers, ThreadPoolExecutor(N_CALLERS) as threads:
        statuses = [status for each in threads.map(ask, callers) for status in each]
        assert set(Counter(two.worker_of(each) for each in callers).values()) == {N_CALLERS // 2}
    assert Counter(statuses) == {200: N_CALLERS * N_REQUESTS}
    after = two.sample("visavis_requests_total", route="/v1/verify", status="200")
    assert after - before == N_CALLERS * N_REQUESTS
    assert two.sample("visavis_verdicts_total") == after
    assert two.sample("visavis_workers_answering") == 2
    assert two.sample("visavis_slots") == Settings().max_concurrent + Settings().max_waiting
    assert two.sample("visavis_held_bytes_limit") <= Settings().memory_bytes


def test_the_memory_of_each_worker_is_told(two: Group) -> None:
    (line,) = [each for each in two.lines if each.startswith("memory:")]
    assert "worker 1: " in line
    assert "worker 2: " in line


def test_a_limit_holds_for_both_together(two: Group, keys: dict[str, str]) -> None:
    with calling(two, N_CALLERS, keys["limited"]) as callers:
        asking = one_of_each(two, callers)
        statuses = [asking[number % 2].ask("GET", "/v1/model")[0] for number in range(2 * LIMIT)]
    assert Counter(statuses) == {200: LIMIT, 429: LIMIT}


def test_who_is_enrolled_by_one_is_known_to_the_other(both: list[Caller], photos: dict[str, bytes]) -> None:
    first, second = both
    photo, other = {"image": photos["001-neutral"]}, {"probe": photos["001-smiling"]}
    assert first.ask("PUT", "/v1/galleries/all")[0] == 201
    began = monotonic()
    status, enrolled = first.ask("POST", "/v1/galleries/all/people/p1/photos", photo, Idempotency_Key="once")
    assert status == 200, enrolled
    _, found = second.ask("POST", "/v1/galleries/all/identify", other)
    assert found["faces"][0]["person"] == "p1"
    assert monotonic() - began < 10  # it takes as long as two requests; the tests share their cores
    _, again = second.ask("POST", "/v1/galleries/all/people/p1/photos", photo, Idempotency_Key="once")
    assert again["enrolled"] == enrolled["enrolled"]
    assert second.ask("DELETE", "/v1/galleries/all/people/p1")[0] == 200
    assert first.ask("POST", "/v1/galleries/all/identify", other)[1]["faces"][0]["person"] is None


def test_a_killed_worker_comes_back_and_the_other_loses_nothing(
    two: Group, folder: Path, keys: dict[str, str], pair: dict[str, bytes]
) -> None:
    with calling(two, N_CALLERS, keys["all"]) as callers, verifying(callers, pair) as outcomes:
        served_by = [two.worker_of(each) for each in callers]
        killed = served_by[0]
        until(lambda: len(outcomes()) > N_CALLERS)
        n_before = two.sample("visavis_requests_total", route="/v1/verify")
        os.kill(killed, signal.SIGKILL)
        until(lambda: two.sample("visavis_worker_restarts_total") == 1)
        with calling(two, 1) as (prober,):
            assert prober.ask("GET", "/readyz")[0] == 200
        until(lambda: two.sample("visavis_workers_answering") == 2)
        assert two.sample("visavis_requests_total", route="/v1/verify") >= n_before
        n_then = len(outcomes())
        until(lambda: len(outcomes()) > n_then + N_CALLERS)
    told = Counter(status for status, _ in outcomes())
    assert told.keys() <= {200, LOST}
    assert told[LOST] <= served_by.count(killed)
    until(lambda: two.n_zombies == 0)
    reader = ChainReader(folder / "audit")
    recorded = {line.fields.get("request_id") for line in reader}
    assert reader.faults == []
    assert {request_id for status, request_id in outcomes() if status == 200} <= recorded


def test_a_worker_that_hangs_is_not_counted_among_those_that_answer(two: Group) -> None:
    hanging = two.workers[0]
    os.kill(hanging, signal.SIGSTOP)
    try:
        until(lambda: two.sample("visavis_workers_answering") == 1)
    finally:
        os.kill(hanging, signal.SIGCONT)
    until(lambda: two.sample("visavis_workers_answering") == 2)


def test_all_reload_or_none(two: Group, folder: Path, both: list[Caller]) -> None:
    def served() -> list[str]:
        return [each.ask("GET", "/v1/model")[1]["name"] for each in both]

    (folder / "visavis.toml").write_text(f'model = "{folder / "nothing"}"\n')
    status, refused = both[0].ask("POST", "/v1/admin/reload")
    assert (status, refused["reloaded"]) == (200, False)
    assert "there is no model bundle" in refused["reason"]
    assert served() == ["sface-128"] * 2
    assert two.sample("visavis_last_reload_successful") == 0
    (folder / "visavis.toml").write_text('model = "dlib-resnet29-128"\n')
    two.process.send_signal(signal.SIGHUP)
    until(lambda: served() == ["dlib-resnet29-128"] * 2)
    until(lambda: two.sample("visavis_reloads_total", outcome="success") == 1)
    assert two.sample("visavis_reloads_total", outcome="failure") == 1


def test_what_is_in_progress_is_answered_when_it_stops(
    two: Group, folder: Path, keys: dict[str, str], pair: dict[str, bytes]
) -> None:
    workers = two.workers
    with calling(two, N_CALLERS, keys["all"]) as callers, verifying(callers, pair) as outcomes:
        until(lambda: len(outcomes()) > N_CALLERS)
        two.process.send_signal(signal.SIGTERM)
        assert two.process.wait(PATIENCE_S) == 0
    until(lambda: any("visavis has stopped." in line for line in two.lines))
    assert not any(map(is_running, workers))
    statuses = [status for status, _ in outcomes()]
    first_refusal = next(place for place, status in enumerate(statuses) if status != 200)
    assert first_refusal > N_CALLERS
    assert set(statuses) <= {200, 503, LOST}  # lost: there was nobody to connect to any more
    reader = verify_chain(folder / "audit")
    assert reader.faults == []
    recorded = {line.fields.get("request_id"): line.fields["event"] for line in ChainReader(folder / "audit")}
    assert {request_id for status, request_id in outcomes() if status == 200} <= recorded.keys()
    assert list(ChainReader(folder / "audit"))[-1].fields["event"] == "closed"


def test_workers_end_with_their_parent() -> None:
    with group() as started:
        workers = started.workers
        os.kill(started.process.pid, signal.SIGKILL)
        until(lambda: not any(map(is_running, workers)))


def test_a_model_that_cannot_be_served_is_told_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0", "--workers", "2", "--model", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 2
    assert "the model cannot be served" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 2  # that it loads its model, and why it does not


def test_limits_are_divided_and_none_is_exceeded() -> None:
    whole = load_settings(workers=3, max_concurrent=4, max_waiting=32, max_connections=512, memory_bytes=2**31)
    shares = [whole.share_of(number) for number in (1, 2, 3)]
    assert [each.max_concurrent for each in shares] == [2, 1, 1]
    assert sum(each.max_waiting for each in shares) == 32
    assert sum(each.max_connections for each in shares) == 512
    assert sum(each.memory_bytes for each in shares) <= 2**31
    assert [each.max_concurrent for each in map(load_settings(workers=3).share_of, (1, 2, 3))] == [1, 1, 1]


def test_a_memory_that_cannot_be_divided_is_told() -> None:
    wrong = {each.subject: each.text for each in check(port=0, workers=3) if each.is_wrong}
    assert "too little for 3 workers" in wrong["workers"]
