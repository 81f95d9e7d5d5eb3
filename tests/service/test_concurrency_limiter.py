"""How much is taken on: so many at work, so many waiting, the rest refused at once; who leaves frees a place."""

import gc
import socket
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from select import select
from time import sleep
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from live_service import served, until
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from embedder import Deadline, DeadlineExceeded, FaceEmbedder, OutOfMemory
from embedder.deadline import begin_step, check_deadline
from service.app import create_app
from service.errors import Busy, MemoryFull
from service.request_execution import ConcurrencyLimiter, Phase, while_connected
from service.settings import Settings

SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


class Work:
    """A task that runs until it is told to end, and counts how many run at a time."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.n_running = self.n_most = self.n_begun = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.n_begun += 1
            self.n_running += 1
            self.n_most = max(self.n_most, self.n_running)
        assert self.may_end.wait(30)
        with self._lock:
            self.n_running -= 1


class Steps:
    """A task of steps of a few milliseconds, until it is told to end; counts them."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.n = 0

    def __call__(self) -> None:
        while not self.may_end.wait(0.002):
            begin_step()
            self.n += 1


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread, which sets no event
            await anyio.sleep(0.005)


async def _pass(limiter: ConcurrencyLimiter, work: Callable[[], object], caller: str = "", limit_s: float = 30) -> None:
    with limiter.slot(caller) as place:
        await limiter.work(place, work, Deadline(limit_s))


async def test_no_more_are_at_work_than_allowed() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=2, max_waiting=3), Work()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 2 and limiter.n_in(*Phase) == 5)
        work.may_end.set()
    assert (work.n_begun, work.n_most, limiter.n_in(*Phase)) == (5, 2, 0)


async def test_one_more_than_there_are_places_is_refused_at_once() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        group.start_soon(_pass, limiter, work)
        await _until(lambda: limiter.n_in(*Phase) == 2)
        with pytest.raises(Busy):
            await _pass(limiter, work)
        work.may_end.set()
    await _pass(limiter, work)


async def test_a_failing_task_frees_its_place() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=1, max_waiting=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await _pass(limiter, lambda: 1 // 0)
    assert limiter.n_in(*Phase) == 0


async def test_who_is_cancelled_while_waiting_frees_the_place_and_never_runs() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        with anyio.move_on_after(0.05):
            await _pass(limiter, work)
        assert limiter.n_in(*Phase) == 1
        work.may_end.set()
    assert work.n_begun == 1


async def test_a_client_that_leaves_while_waiting_is_given_up() -> None:
    limiter, work, left = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work(), anyio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def ask() -> None:
        deadline = Deadline(30)
        with pytest.raises(ClientDisconnect), limiter.slot() as place:
            await while_connected(Request(SCOPE, receive), partial(limiter.work, place, work, deadline), deadline)

    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        group.start_soon(ask)
        await _until(lambda: limiter.n_in(*Phase) == 2)
        left.set()
        await _until(lambda: limiter.n_in(*Phase) == 1)
        work.may_end.set()
    assert work.n_begun == 1


async def test_an_error_of_the_task_comes_out_as_it_is() -> None:
    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def fail() -> None:
        raise KeyError("as it is")

    with pytest.raises(KeyError, match="as it is"):
        await while_connected(Request(SCOPE, receive), fail, Deadline(30))


async def test_work_is_stopped_at_its_next_check_when_its_client_leaves() -> None:
    limiter, left, has_begun = ConcurrencyLimiter(max_concurrent=1, max_waiting=0), anyio.Event(), threading.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    def work() -> None:
        has_begun.set()
        while True:
            check_deadline()
            sleep(0.001)

    async def ask() -> None:
        deadline = Deadline(30)
        with pytest.raises(ClientDisconnect), limiter.slot() as place:
            await while_connected(Request(SCOPE, receive), partial(limiter.work, place, work, deadline), deadline)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await _until(has_begun.is_set)
        left.set()
    assert limiter.n_in(*Phase) == 0


async def test_work_past_its_deadline_is_stopped_at_its_next_check_and_not_begun_if_it_waited_so_long() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work()

    def endless() -> None:
        while True:
            check_deadline()
            sleep(0.001)

    with pytest.raises(DeadlineExceeded):
        await _pass(limiter, endless, limit_s=0.05)
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        with pytest.raises(DeadlineExceeded):
            await _pass(limiter, endless, limit_s=0.05)
        assert limiter.n_in(*Phase) == 1
        work.may_end.set()


async def test_the_callers_take_turns() -> None:
    limiter, first, order = ConcurrencyLimiter(max_concurrent=1, max_waiting=10), Work(), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, first)
        await _until(lambda: first.n_running == 1)
        for caller in "aaaabbc":
            group.start_soon(_pass, limiter, partial(order.append, caller), caller)
        await _until(lambda: limiter.n_in(*Phase) == 8)
        first.may_end.set()
    assert "".join(order) == "abcabaa"


async def test_one_thread_is_kept_free_for_others_that_were_there_lately() -> None:
    now_s, work = 0.0, Work()
    limiter = ConcurrencyLimiter(max_concurrent=2, max_waiting=10, clock=lambda: now_s)
    await _pass(limiter, lambda: None, "b")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(_pass, limiter, work, "a")
        await _until(lambda: work.n_running == 1)
        await _pass(limiter, lambda: None, "b")  # it need not wait
        assert work.n_begun == 1
        now_s = 11
        group.start_soon(_pass, limiter, work, "a")
        await _until(lambda: work.n_running == 2)
        work.may_end.set()


async def _refused_of(limiter: ConcurrencyLimiter, callers: str) -> str:
    """The callers of those that are refused, while each waits for its body."""
    refused, may_end = list[str](), anyio.Event()

    async def receive(caller: str) -> None:
        try:
            with limiter.slot(caller) as place:
                limiter.hold(place, 10)
                await may_end.wait()
        except (Busy, MemoryFull):
            refused.append(caller)

    async with anyio.create_task_group() as group:
        for caller in callers:
            group.start_soon(receive, caller)
        await anyio.wait_all_tasks_blocked()
        may_end.set()
    assert (limiter.n_in(*Phase), limiter.n_bytes) == (0, 0)
    return "".join(refused)


@pytest.mark.parametrize(
    ("callers", "refused"),
    [
        ("aaaaaa", "aa"),
        ("aaaab", "a"),
        ("aaaabb", "aa"),
        ("aaaabbb", "baa"),
        ("bbaac", "b"),
        ("aabbbc", "ab"),
        ("abcde", "e"),
    ],
)
@pytest.mark.parametrize("what", ["places", "bytes"])
async def test_one_caller_may_hold_all_of_it_until_another_wants_some(what: str, callers: str, refused: str) -> None:
    limits = {"max_waiting": 3} if what == "places" else {"max_waiting": 100, "max_bytes": 40}
    limiter = ConcurrencyLimiter(max_concurrent=1, **limits)
    assert sorted(await _refused_of(limiter, callers)) == sorted(refused)


async def test_a_place_that_was_taken_away_holds_nothing_more() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=1, max_waiting=0)
    with pytest.raises(Busy), limiter.slot() as place:  # noqa: PT012 - the place ends by the first refusal
        limiter._refuse(place, Busy)
        with pytest.raises(Busy):
            await limiter.work(place, list, Deadline(30))
        limiter.hold(place, 10)
    assert (limiter.n_in(*Phase), limiter.n_bytes) == (0, 0)


async def test_who_computes_keeps_its_memory_whatever_others_want() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1, max_bytes=10), Work()

    async def compute() -> None:
        with limiter.slot("a") as place:
            limiter.hold(place, 10)
            await limiter.work(place, work, Deadline(30))

    async with anyio.create_task_group() as group:
        group.start_soon(compute)
        await _until(lambda: work.n_running == 1)
        with pytest.raises(MemoryFull), limiter.slot("b") as place:
            limiter.hold(place, 1)
        work.may_end.set()


async def test_who_holds_far_more_places_gives_way_while_another_computes() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=2, max_waiting=20)
    flood, other = Steps(), Steps()
    await _pass(limiter, lambda: None, "other")  # so one thread is kept free for it
    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(_pass, limiter, flood, "flood")
        await _until(lambda: flood.n > 0)
        group.start_soon(_pass, limiter, other, "other")
        await _until(lambda: other.n > 0)
        before = flood.n
        await _until(lambda: other.n >= 100)
        assert flood.n - before < 20
        other.may_end.set()
        await _until(lambda: flood.n - before > 100)
        flood.may_end.set()


async def test_requests_that_are_received_take_no_place_from_those_that_wait() -> None:
    limiter, work, received = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work(), anyio.Event()

    async def receive() -> None:
        with limiter.slot():
            await received.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        group.start_soon(receive)
        group.start_soon(_pass, limiter, work)
        await anyio.wait_all_tasks_blocked()
        assert limiter.n_in(*Phase) == 3
        work.may_end.set()
        received.set()


async def test_a_request_that_is_slow_to_arrive_loses_its_place_to_the_next() -> None:
    now_s = 0.0
    limiter = ConcurrencyLimiter(max_concurrent=1, max_waiting=1, clock=lambda: now_s)
    refused: list[int] = []

    async def receive(k: int) -> None:
        try:
            with limiter.slot("one caller"):
                await anyio.sleep_forever()
        except Busy:
            refused.append(k)

    async with anyio.create_task_group() as group:
        for k in range(2):
            group.start_soon(receive, k)
        await _until(lambda: limiter.n_in(*Phase) == 2)
        with pytest.raises(Busy), limiter.slot("one caller"):
            pass
        now_s = 1.1
        with limiter.slot("one caller"):
            await _until(lambda: refused == [0])
        group.cancel_scope.cancel()


async def test_a_lack_of_memory_is_told_as_such() -> None:
    def work() -> None:
        raise MemoryError

    with pytest.raises(OutOfMemory):
        await _pass(ConcurrencyLimiter(max_concurrent=1, max_waiting=0), work)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that arrives slowly keeps its place."""
    monkeypatch.setattr("service.request_execution.SLOW_S", 3600)


@pytest.mark.usefixtures("patient")
def test_a_full_service_says_busy_and_takes_requests_again_when_someone_leaves(
    embedder: FaceEmbedder, examples: Path
) -> None:
    photo = (examples / "001-neutral.jpg").read_bytes()
    app = create_app(Settings(max_concurrent=1, max_waiting=1), embedder)
    with served(app) as url:
        slow = [_unfinished_upload(url) for _ in range(2)]
        until(lambda: _ask(url, photo).status_code == 503)
        refused = _ask(url, photo)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("busy", "1")
        assert httpx2.get(f"{url}/healthz").status_code == 200
        slow[0].close()
        until(lambda: _ask(url, photo).status_code == 200)
        slow[1].close()


@pytest.mark.usefixtures("patient")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_sockets_of_one_address_that_send_nothing_shut_out_nobody_else(embedder: FaceEmbedder, examples: Path) -> None:
    photo = (examples / "001-neutral.jpg").read_bytes()
    with served(create_app(Settings(max_concurrent=2, max_waiting=2), embedder)) as url:
        slow = [_unfinished_upload(url, source="127.0.0.2") for _ in range(6)]
        until(lambda: _has_answer(slow[-1]))  # all places are taken
        assert [_ask(url, photo).status_code for _ in range(3)] == [200] * 3
        for each in slow:
            each.close()


def test_a_request_that_takes_too_long_is_told_so(embedder: FaceEmbedder, examples: Path) -> None:
    photo = (examples / "001-neutral.jpg").read_bytes()
    with served(create_app(Settings(request_timeout_s=0.001), embedder)) as url:
        told = _ask(url, photo)
    assert (told.status_code, told.json()["code"]) == (503, "deadline_exceeded")


def _has_answer(connection: socket.socket) -> bool:
    return bool(select([connection], [], [], 0)[0])


def _ask(url: str, photo: bytes) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/faces", files={"image": photo}, timeout=30)


def _unfinished_upload(url: str, source: str = "127.0.0.1") -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30, source_address=(source, 0))
    head = "POST /v1/faces HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b"{")
    return connection


class Body:
    """What a request holds."""


async def failing(body: Body) -> None:
    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def fail() -> None:
        if body:
            raise OutOfMemory

    await while_connected(Request(SCOPE, receive), fail, Deadline(30))


async def test_the_error_of_a_request_keeps_no_body_in_memory() -> None:
    body = Body()
    kept = weakref.ref(body)
    gc.disable()  # what refers to itself would only go with the next collection
    try:
        with suppress(OutOfMemory):
            await failing(body)
        del body
        assert kept() is None
    finally:
        gc.enable()
