"""The parent of several workers: starts, watches, restarts and stops them, and has what they share. Serves nothing.

Workers share one counter of requests, one audit log, one sum of metrics, one readiness and one reload.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from errno import EINVAL
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import IO

from embedder import ModelIdentity

from .access.rate_limits import Counted, RateCounter
from .audit.log import AuditLog
from .log_handler import say
from .reloading import GroupReloader
from .settings import Settings
from .telemetry.machine import MIB, memory_of, processes_from
from .telemetry.summed_metrics import Families, GroupMetrics, GroupState
from .worker_channel import (
    AUDIT,
    COUNTS,
    GROUP,
    ORDERS,
    START,
    AnswerT,
    AskMetrics,
    AskReload,
    AuditEvent,
    AuditReply,
    Channel,
    ChannelClosed,
    CountRequest,
    GroupIsReady,
    GroupQuestion,
    GroupReply,
    Join,
    Order,
    QuestionT,
    StartFailed,
    WorkerReply,
    WorkerStart,
)
from .worker_connections import ConnectionDispatcher

log = logging.getLogger("visavis.workers")

TICK_S = 0.2
BACKOFF_S, MAX_BACKOFF_S = 0.2, 30.0  # before the first restart, doubled at each further one
STEADY_S = 60.0  # a worker that has lived so long is restarted at once again
STOP_S = 40.0  # longer than workers give themselves to finish what is in progress
ORDER_S = 5.0
HANGING_S = 300.0  # without an answer, until a worker is killed; longer than it may take to load a model
# Starts without `site` and without the main module of this process, but finds the same packages.
COMMAND = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from service.worker_process import main; main()"


class WorkerStartError(Exception):
    """A worker could not start; the message says why."""


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A worker as the parent sees it."""

    number: int
    serial: int  # among all that were ever started
    process: "subprocess.Popen[bytes]"
    orders: Channel[Order, WorkerReply]
    started_s: float
    has_joined: bool = False
    silent_since_s: float | None = None  # None = it has answered, and its connections are served

    def metrics(self) -> Families:
        """Ask for its metrics, and kill it if it has been silent for too long. Raises LookupError."""
        try:
            reply = self.orders.ask(AskMetrics(), ORDER_S)
        except ChannelClosed:
            raise LookupError from None
        except TimeoutError:
            self._note_silence()
            raise LookupError from None
        if reply.is_stuck:
            self._note_silence()
        else:
            self.silent_since_s = None
        return reply.metrics

    def _note_silence(self) -> None:
        now = monotonic()
        self.silent_since_s = self.silent_since_s or now
        if now - self.silent_since_s > HANGING_S:
            log.error("worker %d hangs: it has not answered for %.0f s, so it is killed", self.number, HANGING_S)
            self.process.kill()


@dataclass(slots=True)
class _Place:
    """A worker's place in the group: who has it, or when somebody shall have it again."""

    number: int
    worker: WorkerProcess | None = None
    n_failures: int = 0  # one after the other
    due_s: float = 0.0
    reason: str = ""  # why the last one could not start


@dataclass(slots=True)
class SharedAudit:
    """Writes the lines of all workers."""

    log: AuditLog | None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, events: Sequence[AuditEvent]) -> AuditReply:
        """Write them; whatever fails is told to the worker, which then answers nothing."""
        with self.lock:
            if self.log is None:
                raise RuntimeError("there is no audit log, or it is being closed")
            try:
                self.log.append([each.event() for each in events])
            except (OSError, ValueError) as error:
                return AuditReply(self.log.last.seq, self.log.last.hash, getattr(error, "errno", None) or EINVAL)
            return AuditReply(self.log.last.seq, self.log.last.hash)

    def end(self) -> None:
        """Write no more, and wait for lines that are being written: only then others may close the log."""
        with self.lock:
            self.log = None


class WorkerGroup:
    """The workers; `run` serves until it is stopped. `reread` reads the settings again, for a reload."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        audit: AuditLog | None,
        *,
        reread: Callable[[], Settings],
        on_ready: Callable[[], None],
    ) -> None:
        self._settings, self._reread, self._on_ready = settings, reread, on_ready
        self._places = [_Place(number) for number in range(1, settings.workers + 1)]
        self._serials = count()
        self._wake, self._woken = socket.socketpair()
        self._dispatcher = ConnectionDispatcher(listener, self._woken)
        self._audit = SharedAudit(audit)
        self._counter, self._counting = RateCounter(), threading.Lock()
        # Held while a worker joins and during a reload, so that all serve one model.
        self._membership = threading.Lock()
        self._model: ModelIdentity | None = None
        self._is_ready = False
        self._n_signals = 0
        self._status = self._n_restarts = 0
        self._reloader = GroupReloader(lambda: [each.orders for each in self._joined_workers()])
        self.metrics = GroupMetrics(self._sources, self._state)

    def reload(self) -> GroupReply:
        """Reload the model in all workers, or in none. Blocks. Until all are ready, they load what is there now."""
        if not self._is_ready:
            return GroupReply(model=self._model, refusal="the workers have not started yet")
        with self._membership:
            outcome = self._reloader.reload(self._reread)
            if outcome.settings is not None:
                kept = {"model": outcome.settings.model, "log_level": outcome.settings.log_level}
                self._settings, self._model = self._settings.model_copy(update=kept), outcome.model
                logging.root.setLevel(self._settings.log_level.upper())
            return GroupReply(model=self._model, refusal=outcome.refusal)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit status. Raises WorkerStartError."""
        with self._signals(), self.metrics.polled():
            try:
                self._serve()
            finally:
                for worker in self._workers():  # after an error, or too late
                    worker.process.kill()
                    worker.process.wait()
                self._dispatcher.close()
                self._audit.end()
        return self._status

    def _serve(self) -> None:
        stop_at = None
        while not self._n_signals or self._workers():
            self._dispatcher.turn(TICK_S)
            self._reap()
            if not self._n_signals:
                self._start_due()
            elif stop_at is None:
                stop_at = monotonic() + STOP_S
                self._terminate()
            elif monotonic() > stop_at:
                self._status = 1
                return

    def _workers(self) -> list[WorkerProcess]:
        found = [place.worker for place in self._places]  # read once: other threads ask too
        return [each for each in found if each is not None]

    def _joined_workers(self) -> list[WorkerProcess]:
        return [each for each in self._workers() if each.has_joined]

    def _sources(self) -> dict[int, Callable[[], Families]]:
        return {each.serial: each.metrics for each in self._joined_workers()}

    def _state(self) -> GroupState:
        return GroupState(
            self._is_ready,
            len(self._places),
            sum(each.silent_since_s is None for each in self._joined_workers()),
            self._n_restarts,
            dict(self._reloader.n_outcomes),
            self._reloader.is_last_successful,
        )

    def _terminate(self) -> None:
        for worker in self._workers():
            worker.process.terminate()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Note signals, and let each end a turn of the dispatcher."""
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGCHLD: lambda *_: None}
        before = {each: signal.signal(each, handler) for each, handler in handlers.items()}
        self._wake.setblocking(False)  # noqa: FBT003 - the library's signature
        wakeup = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _stop(self, number: int, _frame: object) -> None:
        """Stop in order; at the second signal, at once."""
        self._n_signals += 1
        if self._n_signals > 1:
            for worker in self._workers():
                worker.process.kill()
            say("visavis has ended at once, at the second signal.")
            os._exit(128 + number)

    def _start_due(self) -> None:
        for place in self._places:
            if place.worker is None and monotonic() >= place.due_s:
                try:
                    place.worker = self._started(place.number)
                except OSError as error:
                    self._failed(place, f"no process can be started ({error.strerror})")

    def _started(self, number: int) -> WorkerProcess:
        """Start a process, and answer what it asks in threads."""
        with ExitStack() as theirs:
            pairs = [socket.socketpair() for _ in range(5)]
            handles = [theirs.enter_context(each).fileno() for _, each in pairs]
            paths = "\n".join(str(Path(each).absolute()) for each in sys.path)
            process = subprocess.Popen(  # noqa: S603 - this Python
                [sys.executable, "-I", "-c", COMMAND, paths, *map(str, handles)],
                stdin=subprocess.PIPE,
                pass_fds=handles,
                start_new_session=True,  # Ctrl-C is for the parent
            )
        _tell(process.stdin, WorkerStart(self._settings.share_of(number), number, self._is_ready))
        (counts, audit, group, orders), connections = (Connection(each.detach()) for each, _ in pairs[:4]), pairs[4][0]
        worker = WorkerProcess(number, next(self._serials), process, Channel(ORDERS, orders), monotonic())
        _answering(worker, Channel(COUNTS, counts), self._count)
        _answering(worker, Channel(AUDIT, audit), self._audit.write)
        _answering(worker, Channel(GROUP, group), lambda question: self._answer(worker, question))
        self._dispatcher.add(connections)
        return worker

    def _count(self, request: CountRequest) -> Counted:
        with self._counting:
            return self._counter.count(request.pool, request.windows)

    def _answer(self, worker: WorkerProcess, question: GroupQuestion) -> GroupReply:
        match question:
            case AskMetrics():
                return GroupReply(text=self.metrics.text().decode())
            case AskReload():
                return self.reload()
            case Join():
                return self._join(worker, question.model)
            case StartFailed():
                self._places[worker.number - 1].reason = question.reason
        return GroupReply()

    def _join(self, worker: WorkerProcess, model: ModelIdentity) -> GroupReply:
        """Let a worker answer, if it has the model of the others."""
        with self._membership:
            if not self._joined_workers():  # the first one, also after all have ended
                self._model = model
            if model != self._model:
                remedy = "reload, so that all have it" if self._is_ready else "start the service again"
                return GroupReply(refusal=f"its model is another one than that of the other workers; {remedy}")
            worker.has_joined = True
            becomes_ready = not self._is_ready and len(self._joined_workers()) == len(self._places)
            self._is_ready = self._is_ready or becomes_ready
        if becomes_ready:
            self._announce()
        return GroupReply(is_ready=self._is_ready)

    def _announce(self) -> None:
        for worker in self._joined_workers():
            with suppress(ChannelClosed, TimeoutError):  # it has ended, and the next one is told when it joins
                worker.orders.ask(GroupIsReady(), ORDER_S)
        self._on_ready()
        told = [f"worker {each.number}: {_mib(*processes_from(each.process.pid))}" for each in self._workers()]
        say(f"memory: {', '.join(told)}, the parent: {_mib(os.getpid())}")

    def _reap(self) -> None:
        """See which processes have ended; as process 1 of a container, also those that workers have left behind."""
        for place in self._places:
            if place.worker is not None and place.worker.process.poll() is not None:
                self._ended(place, place.worker)
        while (orphan := _ended_orphan([each.process.pid for each in self._workers()])) is not None:
            os.waitpid(orphan, 0)

    def _ended(self, place: _Place, worker: WorkerProcess) -> None:
        place.worker = None
        self.metrics.retire(worker.serial)
        status = worker.process.returncode
        if self._n_signals:
            self._status = self._status or int(status == 1 and worker.has_joined)
            return
        why, place.reason = place.reason or f"it has ended by {_in_words(status)}", ""
        if monotonic() - worker.started_s > STEADY_S:
            place.n_failures = 0
        self._failed(place, why)

    def _failed(self, place: _Place, why: str) -> None:
        """Let another one start later. Raises WorkerStartError if the group was never ready."""
        if not self._is_ready:
            raise WorkerStartError(f"worker {place.number} cannot serve: {why}")
        wait_s = min(MAX_BACKOFF_S, BACKOFF_S * 2**place.n_failures)
        place.n_failures += 1
        place.due_s = monotonic() + wait_s
        self._n_restarts += 1
        log.error("worker %d does not answer any more: %s; another one starts in %.1f s", place.number, why, wait_s)


def _answering(
    worker: WorkerProcess, channel: Channel[QuestionT, AnswerT], answer: Callable[[QuestionT], AnswerT]
) -> None:
    """Answer the questions of a worker in a thread, until it has ended; end it if one cannot be answered."""

    def answer_or_end(question: QuestionT) -> AnswerT:
        try:
            return answer(question)
        except BaseException:
            worker.process.terminate()  # its channel closes, so it could only refuse; another one starts
            raise

    threading.Thread(target=channel.answer_all, args=(answer_or_end,), name="visavis-answers", daemon=True).start()


def _tell(pipe: IO[bytes] | None, start: WorkerStart) -> None:
    """Tell a worker by its standard input what it is; one that has ended already is noticed elsewhere."""
    assert pipe is not None  # noqa: S101 - for mypy
    with suppress(OSError), pipe:
        pipe.write(START.dump_json(start))


def _ended_orphan(own: Sequence[int]) -> int | None:
    """Return a process that has ended, and is nobody's but ours; None if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None or found.si_pid in own else found.si_pid


def _in_words(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _mib(*pids: int) -> str:
    return f"{sum(map(memory_of, pids)) // MIB} MiB"
