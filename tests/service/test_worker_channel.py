"""What workers ask their parent, and the parent them: who waits for whom, and how the shared audit log ends."""

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep

import pytest
from starlette.applications import Starlette

from embedder import FaceEmbedder, ModelIdentity
from service.audit.chain import Fields, verify_chain
from service.audit.log import AuditLog
from service.served_model import ServedModel
from service.settings import Settings
from service.worker_channel import (
    AUDIT,
    COUNTS,
    GROUP,
    ORDERS,
    AskMetrics,
    AuditEvent,
    Channel,
    Commit,
    Order,
    Prepare,
    WorkerReply,
)
from service.worker_group import SharedAudit, WorkerGroup, WorkerProcess, WorkerStartError
from service.worker_link import SharedRateCounter, WorkerLink
from service.worker_process import _join

PATIENCE_S = 20.0
SOON_S = 0.2


@contextmanager
def answered_by(answer: Callable[[Order], WorkerReply]) -> Iterator[Channel[Order, WorkerReply]]:
    """The asking side of a channel."""
    ours, theirs = socket.socketpair()
    asking, answering = (Channel(ORDERS, Connection(each.detach())) for each in (ours, theirs))
    thread = threading.Thread(target=answering.answer_all, args=(answer,))
    thread.start()
    try:
        yield asking
    finally:
        asking.close()
        thread.join(PATIENCE_S)


def test_a_short_question_waits_no_longer_than_it_may_for_a_long_one_before_it() -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def answer(order: Order) -> WorkerReply:
        if isinstance(order, Prepare):
            has_begun.set()
            assert may_end.wait(PATIENCE_S)
        return WorkerReply(refusal=order.kind)

    with answered_by(answer) as channel, ThreadPoolExecutor(1) as pool:
        preparing = pool.submit(channel.ask, Prepare(None, "info"), PATIENCE_S)
        try:
            assert has_begun.wait(PATIENCE_S)
            with pytest.raises(TimeoutError):
                channel.ask(AskMetrics(), SOON_S)
        finally:
            may_end.set()
        assert preparing.result().refusal == "prepare"
        assert channel.ask(Commit(), PATIENCE_S).refusal == "commit"


def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_the_next_question() -> None:
    may_end = threading.Event()

    def answer(order: Order) -> WorkerReply:
        assert isinstance(order, Commit) or may_end.wait(PATIENCE_S)
        return WorkerReply(refusal=order.kind)

    with answered_by(answer) as channel:
        with pytest.raises(TimeoutError):
            channel.ask(AskMetrics(), SOON_S)
        may_end.set()
        assert channel.ask(Commit(), PATIENCE_S).refusal == "commit"


class SlowLog(AuditLog):
    """An audit log on a disk that waits to be told."""

    has_begun, may_go_on = threading.Event(), threading.Event()

    def append(self, events: Sequence[tuple[str, Fields]]) -> None:
        if events and events[0][0] == "slow":
            self.has_begun.set()
            assert self.may_go_on.wait(PATIENCE_S)
        super().append(events)


def test_the_log_is_closed_after_the_line_that_is_being_written(tmp_path: Path) -> None:
    log = SlowLog(tmp_path / "audit")
    shared = SharedAudit(log)
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(shared.write, (AuditEvent("slow", "{}"),))
        assert log.has_begun.wait(PATIENCE_S)
        ending = pool.submit(shared.end)
        with pytest.raises(TimeoutError):
            ending.result(SOON_S)
        log.may_go_on.set()
        ending.result(PATIENCE_S)
    last = writing.result()
    log.close()
    assert (last.errno, log.last.seq) == (None, last.seq + 1)  # then the closing line
    assert verify_chain(tmp_path / "audit").faults == []
    with pytest.raises(RuntimeError, match="closed"):
        shared.write((AuditEvent("late", "{}"),))


@contextmanager
def sleeping_worker(orders: Channel[Order, WorkerReply], number: int = 1) -> Iterator[WorkerProcess]:
    """A process that does nothing, as a worker of a parent."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        yield WorkerProcess(number, number, process, orders, monotonic())
    finally:
        process.kill()
        process.wait()


def metrics_of(worker: WorkerProcess) -> bool:
    """Ask for metrics, as the parent does every few seconds; whether they came."""
    try:
        worker.metrics()
    except LookupError:
        return False
    return True


@pytest.mark.parametrize("is_stuck", [True, False])
def test_a_worker_that_hangs_is_killed_and_one_that_answers_in_between_is_not(
    monkeypatch: pytest.MonkeyPatch, *, is_stuck: bool
) -> None:
    monkeypatch.setattr("service.worker_group.ORDER_S", 0.1)
    monkeypatch.setattr("service.worker_group.HANGING_S", 0.5)
    hangs = threading.Event()

    def answer(_: Order) -> WorkerReply:
        if hangs.is_set() and not is_stuck:
            sleep(0.3)
        return WorkerReply(is_stuck=hangs.is_set())

    with answered_by(answer) as orders, sleeping_worker(orders) as worker:
        for _ in range(3):
            hangs.set()
            assert metrics_of(worker) == is_stuck
            assert worker.silent_since_s is not None
            hangs.clear()
            sleep(0.4)
            assert metrics_of(worker)
            assert worker.silent_since_s is None
        assert worker.process.poll() is None
        hangs.set()
        end = monotonic() + PATIENCE_S
        while worker.process.poll() is None and monotonic() < end:
            metrics_of(worker)
            sleep(0.05)
        assert worker.process.returncode == -signal.SIGKILL


def test_the_start_fails_with_the_reason_if_a_bundle_was_replaced_between_two_workers(embedder: FaceEmbedder) -> None:
    settings = Settings(workers=2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        group = WorkerGroup(settings, listener, None, reread=lambda: settings, on_ready=lambda: None)
        with answered_by(lambda _: WorkerReply()) as orders, sleeping_worker(orders, 2) as second:
            group._places[0].worker = WorkerProcess(1, 1, second.process, orders, monotonic(), has_joined=True)
            group._places[1].worker, group._model = second, ModelIdentity("before", "sha256:1", "sha256:2")
            _refuse(group, second, embedder)
            second.process.terminate()
            second.process.wait()
            with pytest.raises(
                WorkerStartError, match=r"worker 2 cannot serve: its model is another .* start the serv"
            ):
                group._ended(group._places[1], second)
        group._dispatcher.close()
        for each in (group._wake, group._woken):
            each.close()


def _refuse(group: WorkerGroup, worker: WorkerProcess, embedder: FaceEmbedder) -> None:
    """Let a worker with this model join, until it stops itself."""
    pairs = [socket.socketpair() for _ in range(3)]
    counts, audit, ours, theirs = (Connection(each.detach()) for each in (pairs[0][0], pairs[1][0], *pairs[2]))
    link = WorkerLink(
        2,
        2,
        SharedRateCounter(Channel(COUNTS, counts)),
        Channel(AUDIT, audit),
        Channel(GROUP, theirs),
        threading.Event(),
    )
    app, has_stopped = Starlette(), threading.Event()
    app.state.served = ServedModel(embedder)
    parent = threading.Thread(target=Channel(GROUP, ours).answer_all, args=(lambda each: group._answer(worker, each),))
    parent.start()
    before = signal.signal(signal.SIGTERM, lambda *_: has_stopped.set())
    try:
        _join(link, app)  # type: ignore[arg-type] # it reads the state only
        assert has_stopped.wait(PATIENCE_S)
    finally:
        signal.signal(signal.SIGTERM, before)
        link.group.close()
        parent.join(PATIENCE_S)
        for each in (pairs[0][1], pairs[1][1]):
            each.close()
