"""The real service and the real client, joined in three ways: in this process, and over a socket, waiting and async."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image, ImageFilter
from starlette.testclient import TestClient

from embedder import FaceEmbedder
from service.app import create_app
from service.client import AsyncFaceClient, FaceClient
from service.settings import Settings

START_S = 60.0

Ask = Callable[..., object]  # the name of a client's method and its arguments -> its answer
Serve = Callable[..., AbstractContextManager[str]]  # settings -> a running service's address


@contextmanager
def served(embedder: FaceEmbedder, settings: Settings, *, port: int = 0) -> Iterator[str]:
    """Run the service on a socket of its own, in a thread; gives its address once it is ready."""
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, embedder), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with closing(listener):
        thread.start()
        try:
            yield when_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


def when_ready(url: str) -> str:
    deadline_s = time.monotonic() + START_S
    with FaceClient(url) as client:
        while not client.ready():
            assert time.monotonic() < deadline_s, "the service does not get ready"
            time.sleep(0.02)
    return url


@pytest.fixture(scope="session")
def url(embedder: FaceEmbedder) -> Iterator[str]:
    with served(embedder, Settings()) as url:
        yield url


@pytest.fixture(scope="session")
def gallery_url(embedder: FaceEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that keeps galleries."""
    file = tmp_path_factory.mktemp("galleries") / "gallery.db"
    with served(embedder, Settings(gallery=f"sqlite:///{file}")) as url:
        yield url


@pytest.fixture
def serve(embedder: FaceEmbedder) -> Serve:
    """Start a service of other settings, for the length of a block."""
    return partial(served, embedder)


def ask_in_process(_: str, embedder: FaceEmbedder) -> Iterator[Ask]:
    with TestClient(create_app(Settings(), embedder)) as http, FaceClient(http=http) as client:
        while not client.ready():
            time.sleep(0.02)
        yield lambda method, *args, **named: getattr(client, method)(*args, **named)


def ask_by_socket(url: str, _: FaceEmbedder) -> Iterator[Ask]:
    with FaceClient(url) as client:
        yield lambda method, *args, **named: getattr(client, method)(*args, **named)


def ask_by_socket_async(url: str, _: FaceEmbedder) -> Iterator[Ask]:
    with asyncio.Runner() as runner:
        client = AsyncFaceClient(url)
        yield lambda method, *args, **named: runner.run(getattr(client, method)(*args, **named))
        runner.run(client.aclose())


WAYS = {"in process": ask_in_process, "by socket": ask_by_socket, "by socket, async": ask_by_socket_async}


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def ask(request: pytest.FixtureRequest, url: str, embedder: FaceEmbedder) -> Iterator[Ask]:
    yield from request.param(url, embedder)


@pytest.fixture(scope="session")
def penalty_url(penalty_embedder: FaceEmbedder) -> Iterator[str]:
    with served(penalty_embedder, Settings()) as url:
        yield url


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def ask_penalty(request: pytest.FixtureRequest, penalty_url: str, penalty_embedder: FaceEmbedder) -> Iterator[Ask]:
    """Ask a service whose card has a penalty for poor photos."""
    yield from request.param(penalty_url, penalty_embedder)


@pytest.fixture(scope="session")
def photo(examples: Path) -> Callable[[str], bytes]:
    return lambda name: (examples / f"{name}.jpg").read_bytes()


@pytest.fixture(scope="session")
def two_people(examples: Path) -> bytes:
    """Two people side by side, as large as each other."""
    return as_png(np.hstack([np.asarray(Image.open(examples / f"{who}-neutral.jpg")) for who in ("001", "041")]))


@pytest.fixture(scope="session")
def soft(examples: Path) -> bytes:
    """A photo that costs something, and is not too poor."""
    with Image.open(examples / "001-smiling.jpg") as sharp:
        return as_png(np.asarray(sharp.filter(ImageFilter.GaussianBlur(4))))


@pytest.fixture(scope="session")
def blurred(examples: Path) -> bytes:
    """A photo that is too poor."""
    with Image.open(examples / "001-smiling.jpg") as sharp:
        return as_png(np.asarray(sharp.filter(ImageFilter.GaussianBlur(8))))


@pytest.fixture(scope="session")
def nobody() -> bytes:
    """A photo without a face."""
    return as_png(np.full((200, 200, 3), 127, np.uint8))


def as_png(pixels: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
