"""Log lines are written by a thread, so that a reader of stderr that stops cannot stop the service.

Only lines of loggers named `visavis` are written: messages of libraries may contain bytes of a request or an image.
"""

import logging
import os
import queue
import select
import threading
from logging.handlers import QueueHandler

from .telemetry.logs import JsonFormatter

STDERR = 2
MAX_WAITING_LINES = 10_000
FLUSH_S = 1.0  # for lines that wait when the service ends
OURS = logging.Filter("visavis")
SAID = {"name": "visavis", "levelname": "INFO"}


class DroppingQueueHandler(QueueHandler):
    """Puts records into a bounded queue; if it is full, drops and counts them, and says so when there is place."""

    def __init__(self, records: "queue.Queue[logging.LogRecord | None]", line_format: logging.Formatter) -> None:
        super().__init__(records)
        self.line_format = line_format  # of the lines as they are written
        self.n_dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put a record into the queue, never waiting."""
        try:
            if self.n_dropped:
                self.queue.put_nowait(self._notice(record))
                self.n_dropped = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self.n_dropped += 1

    def _notice(self, record: logging.LogRecord) -> logging.LogRecord:
        text = f"{self.n_dropped} lines of the log were dropped, because nothing read them in time"
        notice = logging.LogRecord("visavis.log", logging.WARNING, record.pathname, record.lineno, text, None, None)
        prepared: logging.LogRecord = self.prepare(notice)
        return prepared


class DescriptorHandler(logging.Handler):
    """Writes to a file descriptor, without a lock: what waits for it at the end of the process would wait for ever."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Have no lock; one thread writes."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, however long it takes."""
        left = f"{self.format(record)}\n".encode(errors="backslashreplace")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:  # the reader has gone, or the disk is full
            return


class LogWriter:
    """The thread that writes the log."""

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_WAITING_LINES)
        self._target = DescriptorHandler(descriptor)
        self._target.setFormatter(formatter)
        self.handler = DroppingQueueHandler(self._records, formatter)
        self.handler.addFilter(OURS)
        self._thread = threading.Thread(target=self._write, name="visavis log", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Write what is left and end the thread; waits for a second at most."""
        try:
            self._records.put_nowait(None)
        except queue.Full:  # nothing reads stderr
            return
        self._thread.join(FLUSH_S)

    def _write(self) -> None:
        while (record := self._records.get()) is not None:
            self._target.handle(record)


def start_log(level: str, formatter: logging.Formatter, descriptor: int = STDERR) -> LogWriter:
    """Write the log of this process from `level` on; lines and warnings of libraries go nowhere."""
    writer = LogWriter(descriptor, formatter)
    logging.captureWarnings(capture=True)
    logging.root.handlers = [writer.handler]
    logging.root.setLevel(level.upper())
    return writer


def say(line: str) -> None:
    """Print a line for the operator on stderr, as JSON if the log is JSON; it is dropped if nothing reads there."""
    for handler in logging.root.handlers:
        if isinstance(handler, DroppingQueueHandler) and isinstance(handler.line_format, JsonFormatter):
            line = handler.line_format.format(logging.makeLogRecord(SAID | {"msg": line}))
    _, writable, _ = select.select([], [STDERR], [], FLUSH_S)
    if writable:
        os.write(STDERR, f"{line}\n".encode(errors="backslashreplace"))
