"""The service under test: the real app with the real model, in this process and behind a real socket."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from embedder import FaceEmbedder, Limits, load
from service.app import create_app
from service.settings import Settings

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # the table of odd inputs is shared with its script

from odd_inputs import BODY_TIMEOUT_S, MAX_IMAGE_BYTES, Site

PATIENCE_S = 30


@pytest.fixture(scope="session")
def client(embedder: FaceEmbedder) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(), embedder)) as opened:
        yield opened


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A real server with small limits, so that too much is soon sent."""
    settings = Settings(max_image_bytes=MAX_IMAGE_BYTES, body_timeout_s=BODY_TIMEOUT_S)
    app = create_app(settings, load(limits=Limits(max_bytes=MAX_IMAGE_BYTES)))
    with served(app) as url:
        yield Site(url)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve on a free port, in a thread; gives the address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that comes true in another thread."""
    deadline = monotonic() + PATIENCE_S
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.01)
