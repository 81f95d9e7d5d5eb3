"""A real HTTP server that answers by script, and both clients behind one face: each behaviour is stated once."""

import asyncio
import inspect
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx2
import pytest

from service.client import AsyncFaceClient, AsyncGalleryClient, FaceClient, Problem, VerifyResponse
from service.openapi import VERIFY_ANSWER
from service.wire import ModelIdentity, OperatingPoint, Sample, Timings


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes = field(repr=False)


class ScriptedServer:
    """Answers request after request as the script says, on a real socket; past the script's end, 500."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._script: deque[Callable[[BaseHTTPRequestHandler], None]] = deque()
        self._closing = threading.Event()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._httpd.server_port}"

    def answers(self, status: int, body: bytes = b"", **headers: str) -> Self:
        """Add an answer to the script; an underscore in a header's name stands for a hyphen."""

        def step(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self._script.append(step)
        return self

    def hangs_up(self) -> Self:
        """Add a lost connection: the request is read, no byte comes back."""

        def step(handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

        self._script.append(step)
        return self

    def stays_silent(self) -> Self:
        """Add an answer that does not come before the server is closed."""

        def step(handler: BaseHTTPRequestHandler) -> None:
            self._closing.wait()
            handler.close_connection = True

        self._script.append(step)
        return self

    def perform(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Received(handler.command, handler.path, headers, body))
        if not self._script:
            self.answers(500, b"the script is at its end")
        self._script.popleft()(handler)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()


def handler_of(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self) -> None:
            server.perform(self)

        def do_POST(self) -> None:
            server.perform(self)

        def do_PUT(self) -> None:
            server.perform(self)

        def do_DELETE(self) -> None:
            server.perform(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


class Driven:
    """An AsyncFaceClient, or a gallery of one, whose methods wait, each run to its end in one event loop."""

    def __init__(self, client: AsyncFaceClient | AsyncGalleryClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._client, {"close": "aclose"}.get(name, name))
        return lambda *args, **named: self._done(method(*args, **named))

    def _done(self, answer: object) -> object:
        if isinstance(answer, AsyncGalleryClient):
            return Driven(answer, self._runner)
        return self._runner.run(_awaited(answer))

    def __repr__(self) -> str:
        return repr(self._client)


async def _awaited(answer: object) -> object:
    return [each async for each in answer] if inspect.isasyncgen(answer) else await answer


class Connector:
    """Makes FaceClients, or AsyncFaceClients that look like them; notes every pause instead of sleeping."""

    def __init__(self, runner: asyncio.Runner | None) -> None:
        self.pauses_s: list[float] = []
        self._runner = runner
        self._made: list[FaceClient | Driven] = []

    def __call__(self, base_url: str | None = None, **named: object) -> FaceClient | Driven:
        if self._runner is None:
            client = FaceClient(base_url, sleep=self.pauses_s.append, **named)
        else:
            client = Driven(AsyncFaceClient(base_url, sleep=self._pause, **named), self._runner)
        self._made.append(client)
        return client

    def http(self, **named: object) -> httpx2.Client | httpx2.AsyncClient:
        return (httpx2.Client if self._runner is None else httpx2.AsyncClient)(**named)

    def close_http(self, http: httpx2.Client | httpx2.AsyncClient) -> None:
        if isinstance(http, httpx2.Client):
            http.close()
        else:
            self._runner.run(http.aclose())

    def close(self) -> None:
        for client in self._made:
            client.close()

    async def _pause(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(params=["FaceClient", "AsyncFaceClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connector]:
    if request.param == "FaceClient":
        connector = Connector(None)
        yield connector
        connector.close()
    else:
        with asyncio.Runner() as runner:
            connector = Connector(runner)
            yield connector
            connector.close()


@pytest.fixture
def verdict() -> VerifyResponse:
    sample = Sample.model_validate(VERIFY_ANSWER["probe"])
    return VerifyResponse(
        same=True,
        distance=0.4,
        threshold=0.6,
        threshold_reason="fmr-1e-2: 0.600 for all pairs with at least one good photo.",
        normalized_distance=0.4,
        probability=0.97,
        log_likelihood_ratio=3.5,
        operating_point=OperatingPoint(name="fmr-1e-2", threshold=0.6, fmr=0.01, fnmr=0.02, note=""),
        prior=0.5,
        quality="refuse",
        probe=sample,
        reference=sample,
        model=ModelIdentity(name="a", digest="sha256:" + "0" * 64, card_digest="sha256:" + "1" * 64),
        timings_ms=Timings(decode=1, detect=2, embed=3, total=6),
        request_id="r-1",
    )


@pytest.fixture
def no_face() -> Problem:
    return Problem(
        title="No face found",
        status=422,
        detail="no face was found",
        code="no_face",
        request_id="r-2",
        image="probe",
        n_faces=0,
    )
