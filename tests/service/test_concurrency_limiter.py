"""How much is taken on: so many at work, so many waiting, the rest refused at once; who leaves frees a place."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from live_service import served, until
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from embedder import FaceEmbedder
from service.app import create_app
from service.errors import Busy
from service.request_execution import ConcurrencyLimiter, while_connected
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


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread, which sets no event
            await anyio.sleep(0.005)


async def _pass(limiter: ConcurrencyLimiter, work: Work) -> None:
    with limiter.slot():
        await limiter.work(work)


async def test_no_more_are_at_work_than_allowed() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=2, max_waiting=3), Work()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 2 and limiter.n_taken == 5)
        work.may_end.set()
    assert (work.n_begun, work.n_most, limiter.n_taken) == (5, 2, 0)


async def test_one_more_than_there_are_places_is_refused_at_once() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        group.start_soon(_pass, limiter, work)
        await _until(lambda: limiter.n_taken == 2)
        with pytest.raises(Busy):
            await _pass(limiter, work)
        work.may_end.set()
    await _pass(limiter, work)


async def test_a_failing_task_frees_its_place() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=1, max_waiting=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limiter.slot():
            await limiter.work(lambda: 1 // 0)
    assert limiter.n_taken == 0


async def test_who_is_cancelled_while_waiting_frees_the_place_and_never_runs() -> None:
    limiter, work = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work()
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        with anyio.move_on_after(0.05):
            await _pass(limiter, work)
        assert limiter.n_taken == 1
        work.may_end.set()
    assert work.n_begun == 1


async def test_a_client_that_leaves_while_waiting_is_given_up() -> None:
    limiter, work, left = ConcurrencyLimiter(max_concurrent=1, max_waiting=1), Work(), anyio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def ask() -> None:
        with pytest.raises(ClientDisconnect), limiter.slot():
            await while_connected(Request(SCOPE, receive), lambda: limiter.work(work))

    async with anyio.create_task_group() as group:
        group.start_soon(_pass, limiter, work)
        await _until(lambda: work.n_running == 1)
        group.start_soon(ask)
        await _until(lambda: limiter.n_taken == 2)
        left.set()
        await _until(lambda: limiter.n_taken == 1)
        work.may_end.set()
    assert work.n_begun == 1


async def test_an_error_of_the_task_comes_out_as_it_is() -> None:
    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def fail() -> None:
        raise KeyError("as it is")

    with pytest.raises(KeyError, match="as it is"):
        await while_connected(Request(SCOPE, receive), fail)


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


def _ask(url: str, photo: bytes) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/faces", files={"image": photo}, timeout=30)


def _unfinished_upload(url: str) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    head = "POST /v1/faces HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    connection.sendall(head.encode() + b"{")
    return connection
