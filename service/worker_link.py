"""What a worker has in common with the others, asked of the parent: counts, audit log, metrics, reload, readiness."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EPIPE
from threading import Event

from embedder import ModelIdentity

from .access.rate_limits import Counted, CounterPool, Window
from .audit.chain import GENESIS, Anchor, AuditFolderError, Fields, without_empty
from .errors import Stopping
from .reloading import ReloadOutcome
from .worker_channel import (
    AskMetrics,
    AskReload,
    AuditEvent,
    AuditReply,
    Channel,
    ChannelClosed,
    CountRequest,
    GroupQuestion,
    GroupReply,
    Join,
    StartFailed,
)


class SharedRateCounter:
    """Counts requests in the parent, so that a limit holds for all workers together."""

    def __init__(self, channel: Channel[CountRequest, Counted]) -> None:
        self._channel = channel

    def count(self, pool: CounterPool, windows: Sequence[Window]) -> Counted:
        """See `RateCounting`. Raises Stopping if the parent has ended."""
        try:
            return self._channel.ask(CountRequest(pool, tuple(windows)))
        except ChannelClosed:
            raise Stopping from None


class SharedAuditLog:
    """The audit log that the parent writes for all workers, so that it is one chain."""

    def __init__(self, channel: Channel[tuple[AuditEvent, ...], AuditReply]) -> None:
        """Ask where the log ends. Raises OSError."""
        self._channel = channel
        self.last = GENESIS
        self.append([])

    def append(self, events: Sequence[tuple[str, Fields]]) -> None:
        """Write a line for each event and wait until the disk has them. Raises OSError."""
        lines = [AuditEvent(name, json.dumps(without_empty(fields), allow_nan=False)) for name, fields in events]
        try:
            reply = self._channel.ask(tuple(lines))
        except ChannelClosed:
            raise OSError(EPIPE, "the process that writes it has ended") from None
        self.last = Anchor(reply.seq, reply.hash)
        if reply.errno is not None:
            raise OSError(reply.errno, os.strerror(reply.errno))

    def close(self) -> None:
        """Leave the log to the other workers; the parent closes it."""


@dataclass(frozen=True, slots=True, eq=False)
class WorkerLink:
    """The worker's number, counted from 1, and what it asks the parent."""

    number: int
    n_workers: int
    counter: SharedRateCounter
    audit_channel: Channel[tuple[AuditEvent, ...], AuditReply]
    group: Channel[GroupQuestion, GroupReply]
    group_is_ready: Event

    @property
    def is_first(self) -> bool:
        """Whether this worker does what is done once: forgetting expired people, and counting galleries."""
        return self.number == 1

    def audit_log(self) -> SharedAuditLog:
        """Return the log. Raises AuditFolderError."""
        try:
            return SharedAuditLog(self.audit_channel)
        except OSError as error:
            raise AuditFolderError(f"the audit log cannot be written: {error.strerror}") from None

    def metrics_text(self) -> bytes:
        """Return the metrics of all workers. Raises Stopping."""
        return self._ask(AskMetrics()).text.encode()

    def reload(self) -> ReloadOutcome:
        """Reload the model in all workers or in none. Raises Stopping."""
        reply = self._ask(AskReload())
        if reply.model is None:
            raise Stopping
        return ReloadOutcome(reply.refusal is None, reply.model, reply.refusal)

    def join(self, model: ModelIdentity) -> str | None:
        """Tell that this worker can answer with a model; returns why it may not, None if it may. Raises Stopping."""
        reply = self._ask(Join(model))
        if reply.is_ready:
            self.group_is_ready.set()
        return reply.refusal

    def tell_failure(self, reason: str) -> None:
        """Tell the parent why this worker ends without serving; nothing if the parent has ended."""
        with suppress(Stopping):
            self._ask(StartFailed(reason))

    def _ask(self, question: GroupQuestion) -> GroupReply:
        try:
            return self.group.ask(question)
        except ChannelClosed:
            raise Stopping from None
