"""A real service on a free port of this machine, in a thread: for the tests and the scripts in this folder."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from fastapi import FastAPI
from odd_inputs import BODY_TIMEOUT_S, MAX_IMAGE_BYTES, Site

from embedder import Limits, load
from service.app import create_app
from service.http_server import HttpServer, http_config
from service.serving import connection_limits, listening
from service.settings import Settings

PATIENCE_S = 30


@contextmanager
def small_site() -> Iterator[Site]:
    """The built-in model with small limits, so that too much is soon sent."""
    settings = Settings(max_image_bytes=MAX_IMAGE_BYTES, body_timeout_s=BODY_TIMEOUT_S)
    with served(create_app(settings, load(limits=Limits(max_bytes=MAX_IMAGE_BYTES)))) as url:
        yield Site(url)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve until the block ends; gives the address."""
    server = HttpServer(http_config(app, connection_limits(Settings())), grace_s=PATIENCE_S)
    with listening("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that comes true in another thread."""
    deadline = monotonic() + PATIENCE_S
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S} s without success")
        sleep(0.01)
