"""Writes the audit log: `AuditLog` appends lines to files, `AuditRecorder` lets requests wait for the disk together."""

import errno
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter, Lock, create_task_group, sleep, to_thread

from embedder import open_regular_file

from ..errors import AuditUnavailable
from .chain import (
    CLOSED,
    FILE_NAME,
    GENESIS,
    MAX_LINE_BYTES,
    AbandonedEnd,
    Anchor,
    AuditFolderError,
    AuditLine,
    Fields,
    Opened,
    audit_files,
    has_no_line,
    parse_line,
    seal,
)

log = logging.getLogger("visavis.audit")

MAX_FILE_BYTES = 64 * 2**20
LOCK_FILE = "lock"
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
RETRY_S = 1.0  # after a failure, how long nothing is written
MINUTE_S, HOUR_S = 60, 3600
MAX_REFUSALS = 60  # lines a minute for the refusals of one key, and for those without a key; further ones are counted


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a log ends that another process wrote: its last complete line, and what follows it."""

    last: Anchor = GENESIS
    n_files: int = 0  # those with a line; the next file gets the next number
    abandoned: AbandonedEnd | None = None


class AuditLog:
    """The files of one folder, each begun by an `opened` line; not safe for use by two threads at a time.

    A line counts only when it is confirmed, that is when fsync has succeeded. After a failure the rest of the file is
    abandoned, since nobody knows what the disk holds of it, and a new file goes on from the last confirmed line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], datetime] = utc_now,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Lock the folder, create it if it is missing, and begin a file. Raises AuditFolderError."""
        self._folder, self._now, self._max_file_bytes = folder, now, max_file_bytes
        self._handle: int | None = None
        self._size, self._day, self._is_closed = 0, "", False
        try:
            self._lock = _locked(folder)
            self._identity = folder.stat()
            end = find_end(folder)
            self.last, self._number, self._abandoned = end.last, end.n_files, end.abandoned
            self._begin_file("start")
        except OSError as error:
            raise AuditFolderError(
                f"the audit log cannot be written: {error.filename or folder}: {error.strerror}; "
                "free disk space, or name another folder"
            ) from None

    def append(self, events: Sequence[tuple[str, Fields]]) -> None:
        """Write a line for each event, a name and its fields, and wait until the disk has them.

        Raises OSError, also if the file or the folder was removed or replaced meanwhile: then nobody could read them.
        """
        handle = self._open_file()
        try:
            written = self._written(handle, events)
            _require_same(self._folder / _file_name(self._number), os.fstat(handle))
            self._confirm(*written)
        except OSError:
            self._abandoned = AbandonedEnd(_file_name(self._number), self._size)
            self._close_file()
            raise

    def close(self) -> None:
        """Write the closing line, if the disk allows it, and release the folder."""
        with suppress(OSError):
            self.append([(CLOSED, {})])
        self._close_file()
        self._is_closed = True
        _close(self._lock)

    def _open_file(self) -> int:
        if self._is_closed:
            raise OSError(errno.EBADF, "the audit log is closed")
        if self._handle is None:
            return self._begin_file("failure")
        if self._size < self._max_file_bytes and self._day == self._today():
            return self._handle
        self._close_file()
        log.info("audit anchor %s", self.last)
        return self._begin_file("rotation")

    def _begin_file(self, reason: str) -> int:
        """Begin the next file. One of this name holds no confirmed line: a failure or a kill left it."""
        _require_same(self._folder, self._identity)
        handle = os.open(self._folder / _file_name(self._number + 1), NEW_FILE, 0o600)
        try:
            os.ftruncate(handle, 0)
            last, size = self._written(handle, [(Opened.event, asdict(Opened(reason, self._abandoned)))])
            self._sync_folder()
        except OSError:
            _close(handle)
            raise
        self._handle, self._number, self._day, self._abandoned = handle, self._number + 1, self._today(), None
        self._size = 0
        self._confirm(last, size)
        return handle

    def _written(self, handle: int, events: Sequence[tuple[str, Fields]]) -> tuple[Anchor, int]:
        """Write lines and wait for the disk; returns the anchor of the last one, and how many bytes they have."""
        lines, last = [], self.last
        for event, fields in events:
            line, last = seal(event, fields, time=self._now().isoformat(timespec="milliseconds"), after=last)
            lines.append(line)
        rest = content = b"".join(lines)
        while rest:
            rest = rest[os.write(handle, rest) :]
        if content:
            os.fsync(handle)
        return last, len(content)

    def _confirm(self, last: Anchor, size: int) -> None:
        self.last, self._size = last, self._size + size

    def _today(self) -> str:
        return self._now().date().isoformat()

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            _close(handle)

    def _close_file(self) -> None:
        if self._handle is not None:
            _close(self._handle)
        self._handle = None


def _close(handle: int) -> None:
    with suppress(OSError):  # all that counts has been confirmed by fsync
        os.close(handle)


def _require_same(path: Path, expected: os.stat_result) -> None:
    """Raise OSError unless a path still leads to this file or folder."""
    if not os.path.samestat(path.stat(), expected):
        raise OSError(errno.ESTALE, "it was replaced while the service was running", str(path))


def _file_name(number: int) -> str:
    return f"audit-{number:06}.jsonl"


def _locked(folder: Path) -> int:
    """Hold the folder's lock until the handle is closed. Raises AuditFolderError if another process holds it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / LOCK_FILE, NEW_FILE, 0o600)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock's, no child process can keep it
    except OSError as error:
        os.close(handle)
        if error.errno not in {errno.EACCES, errno.EAGAIN}:
            raise
        raise AuditFolderError(
            f"{folder}: another process writes this audit log; give each service a folder of its own"
        ) from None
    return handle


def check_audit_folder(folder: Path) -> None:
    """Raise AuditFolderError unless a log can be begun or continued in a folder; a service may be writing it."""
    existing = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise AuditFolderError(f"{existing}: is not a folder that the service may write; name another one")
    if existing != folder:
        return
    try:
        find_end(folder)
    except OSError as error:
        raise AuditFolderError(f"{error.filename or folder}: cannot be read: {error.strerror}") from None


def find_end(folder: Path) -> LogEnd:
    """Find the last complete line. Raises AuditFolderError if it is damaged: then the log is no line's continuation."""
    files = audit_files(folder)
    if files and has_no_line(files[-1]):
        files.pop()  # a kill while a file was begun: nothing in it was confirmed
    if not files:
        return LogEnd()
    name = FILE_NAME.fullmatch(files[-1].name)
    return _end_of(files[-1], int(name[1]) if name else 0)


def _end_of(path: Path, number: int) -> LogEnd:
    with open_regular_file(path, follow_links=False) as file:
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(max(0, size - 2 * MAX_LINE_BYTES))
        tail = file.read()
    complete, newline, torn = tail.rpartition(b"\n")
    line = parse_line(complete[complete.rfind(b"\n") + 1 :] + newline)
    if not isinstance(line, AuditLine):
        raise AuditFolderError(
            f"{path}: its last complete line is damaged; find out why with visavis audit verify, "
            "and name another folder, in which a new log begins"
        )
    if not torn:
        return LogEnd(line.anchor, number)
    log.warning("%s ends with %d bytes of a line that was never completed", path.name, len(torn))
    return LogEnd(line.anchor, number, AbandonedEnd(path.name, begin + len(complete) + 1))


@dataclass(slots=True, eq=False)
class _Waiting:
    event: str
    fields: Fields
    is_confirmed: bool | None = None  # None = not written yet


@dataclass(slots=True)
class RefusalCounter:
    """Counts refusals beyond a limit a minute, so that a flood of them does not fill the disk."""

    clock: Callable[[], float]
    limit: int = MAX_REFUSALS  # lines a minute of one key
    began: float = field(init=False)
    written: Counter[str | None] = field(default_factory=Counter)  # by key
    counted: Counter[tuple[str | None, str]] = field(default_factory=Counter)  # by key and code

    def __post_init__(self) -> None:
        self.began = self.clock()

    def admits(self, key: str | None, code: str) -> bool:
        """Whether a refusal gets a line of its own; if not, it is counted."""
        self.written[key] += 1
        if self.written[key] <= self.limit:
            return True
        self.counted[key, code] += 1
        return False

    def take_due(self) -> list[tuple[str, Fields]]:
        """Return what was counted, once a minute is over, and begin another minute."""
        return self.take() if self.clock() - self.began >= MINUTE_S else []

    def take(self) -> list[tuple[str, Fields]]:
        """Return what was counted, as no or one event, and begin another minute."""
        counts = [{"key": key, "code": code, "n": n} for (key, code), n in self.counted.items()]
        self.began = self.clock()
        self.written.clear()
        self.counted.clear()
        return [("refusals", {"counts": counts})] if counts else []


class AuditWriter(Protocol):
    """What writes lines: an `AuditLog`, here or in another process."""

    last: Anchor  # of the last line that the disk has

    def append(self, events: Sequence[tuple[str, Fields]]) -> None:
        """Write a line for each event and wait until the disk has them. Raises OSError."""

    def close(self) -> None:
        """Write no more."""


class AuditRecorder:
    """Writes what requests report; those that wait for the disk at the same time share one fsync."""

    def __init__(
        self,
        audit_log: AuditWriter,
        *,
        max_refusals: int = MAX_REFUSALS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._clock = audit_log, clock
        self._pending: list[_Waiting] = []
        self._turn = Lock()
        self._worker = CapacityLimiter(1)
        self._failed_at: float | None = None
        self._refusals = RefusalCounter(clock, max_refusals)

    async def record(self, event: str, fields: Fields) -> None:
        """Write a line and return when the disk has it. Raises AuditUnavailable."""
        waiting = _Waiting(event, fields)
        self._pending.append(waiting)
        async with self._turn:
            if waiting.is_confirmed is None:  # else the request that had the turn before has written it
                await self._write_pending()
        if not waiting.is_confirmed:
            raise AuditUnavailable

    async def record_refusal(self, event: str, fields: Fields, *, key: str | None, code: str) -> None:
        """Write a line for a refusal, or count it if there are too many. Raises AuditUnavailable."""
        if self._refusals.admits(key, code):
            await self.record(event, fields)

    async def require_writable(self) -> None:
        """Raise AuditUnavailable if the last attempt to write failed; after RETRY_S, make another attempt."""
        if self._failed_at is None:
            return
        if self._clock() - self._failed_at < RETRY_S:
            raise AuditUnavailable
        async with self._turn:
            await self._write_pending()
        if self._failed_at is not None:
            raise AuditUnavailable

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write counted refusals each minute and log an anchor each hour; close the log at the end."""
        try:
            async with create_task_group() as group:
                group.start_soon(self._keep)
                yield
                group.cancel_scope.cancel()
        finally:
            await self._finish()

    async def _keep(self) -> None:
        minute = 0
        while True:
            if minute % (HOUR_S // MINUTE_S) == 0:
                log.info("audit anchor %s", self._log.last)
            await sleep(MINUTE_S)
            minute += 1
            async with self._turn:
                await self._write_pending()

    async def _write_pending(self) -> None:
        """Write all lines that wait. The caller has the turn."""
        batch, self._pending = self._pending, []
        events = [*self._refusals.take_due(), *((each.event, each.fields) for each in batch)]
        try:
            await to_thread.run_sync(self._log.append, events, limiter=self._worker)
        except Exception as error:  # noqa: BLE001 - whatever it is, the line is not on disk, so nothing is answered
            self._note_failure(error)
        else:
            self._note_success()
        for each in batch:
            each.is_confirmed = self._failed_at is None

    def _note_failure(self, error: Exception) -> None:
        if self._failed_at is None:
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            log.error("the audit log cannot be written: %s; nothing is answered until it can", reason)
        self._failed_at = self._clock()

    def _note_success(self) -> None:
        if self._failed_at is not None:
            log.warning("the audit log can be written again")
        self._failed_at = None

    async def _finish(self) -> None:
        self._pending += [_Waiting(event, fields) for event, fields in self._refusals.take()]
        await self._write_pending()
        self._log.close()
        log.info("audit anchor %s", self._log.last)
