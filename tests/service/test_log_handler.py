"""The log is written by a thread: a reader that stops cannot stop the service, and only our own lines come through."""

import fcntl
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator

import httpx2
import pytest
from serving_process import PATIENCE_S, serving

from service.log_handler import MAX_WAITING_LINES, LogWriter

PIPE_BYTES = 4096
LINE_BYTES = 60  # at least, of a line for each request


class Pipe:
    """A log into a pipe."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.writer = LogWriter(self.writing, logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def lines(self) -> list[str]:
        """All lines, once the writer has ended."""
        self.writer.flush()
        os.close(self.writing)
        with os.fdopen(self.reading, encoding="utf-8") as file:
            return file.read().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened, before, level = Pipe(), logging.root.handlers, logging.root.level
    logging.root.handlers = [opened.writer.handler]
    logging.root.setLevel(logging.INFO)
    yield opened
    logging.root.handlers = before
    logging.root.setLevel(level)


def test_only_lines_of_visavis_are_written(pipe: Pipe) -> None:
    logging.getLogger("visavis.access").info("GET %s", "/healthz")
    logging.getLogger("uvicorn.error").error("bytes of a request")
    logging.getLogger("PIL.TiffImagePlugin").critical("bytes of an image")
    logging.getLogger("visavisor").error("another program")
    logging.captureWarnings(capture=True)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("bytes of an image", stacklevel=1)
    logging.captureWarnings(capture=False)
    assert pipe.lines() == ["INFO visavis.access GET /healthz"]


def test_lines_that_nothing_reads_are_dropped_and_counted(pipe: Pipe) -> None:
    log, n_lines = logging.getLogger("visavis.access"), MAX_WAITING_LINES + 2000
    began = time.process_time()
    for number in range(n_lines):
        log.info("%100d", number)
    assert time.process_time() - began < 5
    n_dropped = pipe.writer.handler.n_dropped
    assert 0 < n_dropped < MAX_WAITING_LINES
    reader = threading.Thread(target=lambda: said.extend(drained(pipe, "again")))
    said: list[str] = []
    reader.start()
    while pipe.writer.handler.n_dropped:
        time.sleep(0.05)
        log.info("again")
    reader.join(PATIENCE_S)
    assert any("lines of the log were dropped" in line for line in said)


def drained(pipe: Pipe, last: str) -> list[str]:
    """Lines, until one ends with a word."""
    lines = []
    with os.fdopen(pipe.reading, encoding="utf-8", closefd=False) as file:
        for line in file:
            lines.append(line)
            if line.rstrip().endswith(last):
                return lines
    return lines


def test_a_pipe_that_nothing_reads_stops_neither_the_service_nor_its_end() -> None:
    with serving() as (process, url):
        assert process.stderr is not None
        size = fcntl.fcntl(process.stderr.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with httpx2.Client(base_url=url, timeout=10) as client:
            assert {client.get("/healthz").status_code for _ in range(size // LINE_BYTES + 50)} == {200}
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
