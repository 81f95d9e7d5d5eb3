"""What workers ask their parent, and the parent them: who waits for whom, and how the shared audit log ends."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from service.audit.chain import Fields, verify_chain
from service.audit.log import AuditLog
from service.worker_channel import ORDERS, AskMetrics, AuditEvent, Channel, Commit, Order, Prepare, WorkerReply
from service.worker_group import SharedAudit

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
