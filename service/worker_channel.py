"""Messages between the processes of a group of workers: a question and its answer at a time, as JSON, over sockets."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, Literal, TypeVar

from pydantic import TypeAdapter

from embedder import ModelIdentity

from .access.rate_limits import Counted, CounterPool, Window
from .audit.chain import Fields
from .settings import Settings
from .telemetry.summed_metrics import MetricFamily

log = logging.getLogger("visavis.workers")

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


class ChannelClosed(Exception):
    """The other process has ended."""


@dataclass(frozen=True, slots=True)
class Topic(Generic[QuestionT, AnswerT]):
    """What is asked over a channel, and how it is answered."""

    questions: TypeAdapter[QuestionT]
    answers: TypeAdapter[AnswerT]


class Channel(Generic[QuestionT, AnswerT]):
    """One side of a pair of connected sockets: it either asks or answers. Asking is thread-safe."""

    def __init__(self, topic: Topic[QuestionT, AnswerT], connection: Connection) -> None:
        self._topic, self._connection = topic, connection
        self._lock = threading.Lock()
        self._n_asked = 0

    def ask(self, question: QuestionT, timeout_s: float | None = None) -> AnswerT:
        """Return the answer. Raises ChannelClosed, and TimeoutError; an answer that comes later is thrown away.

        It waits up to `timeout_s` for those who have asked before, and as long again for the answer.
        """
        if not self._lock.acquire(timeout=-1 if timeout_s is None else timeout_s):
            raise TimeoutError
        try:
            self._n_asked += 1
            self._send(self._n_asked, self._topic.questions.dump_json(question))
            return self._topic.answers.validate_json(self._answer(self._n_asked, timeout_s))
        except TimeoutError:
            raise
        except (EOFError, OSError):
            raise ChannelClosed from None
        finally:
            self._lock.release()

    def answer_all(self, answer: Callable[[QuestionT], AnswerT]) -> None:
        """Answer each question until the other side has ended; then close this one, and after a failure too."""
        try:
            while True:
                number, content = self._received()
                self._send(number, self._topic.answers.dump_json(answer(self._topic.questions.validate_json(content))))
        except (EOFError, OSError):
            return
        except Exception as error:  # noqa: BLE001 - the other side must not wait for ever
            log.error("a question of another process could not be answered (%s)", type(error).__name__)  # noqa: TRY400 - no message: it may name a person
        finally:
            self.close()

    def close(self) -> None:
        """Close this side: what the other one asks then fails."""
        self._connection.close()

    def _answer(self, number: int, timeout_s: float | None) -> bytes:
        while True:
            if timeout_s is not None and not self._connection.poll(timeout_s):
                raise TimeoutError
            found, content = self._received()
            if found == number:
                return content

    def _received(self) -> tuple[int, bytes]:
        number, _, content = self._connection.recv_bytes().partition(b"\n")
        return int(number), content

    def _send(self, number: int, content: bytes) -> None:
        self._connection.send_bytes(b"%d\n%s" % (number, content))


@dataclass(frozen=True, slots=True)
class CountRequest:
    """A request of a caller, to be counted in all windows."""

    pool: CounterPool
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A line for the audit log; `fields` are JSON, in their order."""

    name: str
    fields: str

    def event(self) -> tuple[str, Fields]:
        """Return it as the log takes it."""
        return self.name, json.loads(self.fields)


@dataclass(frozen=True, slots=True)
class AuditReply:
    """The last line of the audit log that the disk has, and the number of the system's error if there was one."""

    seq: int
    hash: str
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class AskMetrics:
    """Ask for metrics."""

    kind: Literal["metrics"] = "metrics"


@dataclass(frozen=True, slots=True)
class AskReload:
    """Ask the group to reload the model."""

    kind: Literal["reload"] = "reload"


@dataclass(frozen=True, slots=True)
class Join:
    """Tell that a worker can answer, with this model."""

    model: ModelIdentity
    kind: Literal["join"] = "join"


@dataclass(frozen=True, slots=True)
class StartFailed:
    """Tell why a worker cannot start."""

    reason: str
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class GroupReply:
    """What the group answers: the metrics as text, or whether it is ready and which model it serves."""

    text: str = ""
    is_ready: bool = False
    refusal: str | None = None
    model: ModelIdentity | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Load a model beside the one that is served."""

    model: str | None
    log_level: str
    kind: Literal["prepare"] = "prepare"


@dataclass(frozen=True, slots=True)
class Commit:
    """Serve the model that was prepared."""

    kind: Literal["commit"] = "commit"


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the model that was prepared."""

    kind: Literal["abort"] = "abort"


@dataclass(frozen=True, slots=True)
class GroupIsReady:
    """All workers can answer."""

    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class WorkerReply:
    """What a worker answers: its metrics, or the model that it has prepared, or why it has none."""

    metrics: tuple[MetricFamily, ...] = ()
    is_stuck: bool = False  # its event loop hangs, so it serves no connection
    model: ModelIdentity | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """What a worker is told when it starts; `settings` are its own share."""

    settings: Settings
    number: int
    is_restart: bool


GroupQuestion = AskMetrics | AskReload | Join | StartFailed
Order = AskMetrics | Prepare | Commit | Abort | GroupIsReady

# Of a worker to the parent, each over sockets of its own, so that none waits for another.
COUNTS: Topic[CountRequest, Counted] = Topic(TypeAdapter(CountRequest), TypeAdapter(Counted))
AUDIT: Topic[tuple[AuditEvent, ...], AuditReply] = Topic(TypeAdapter(tuple[AuditEvent, ...]), TypeAdapter(AuditReply))
GROUP: Topic[GroupQuestion, GroupReply] = Topic(TypeAdapter(GroupQuestion), TypeAdapter(GroupReply))
# Of the parent to a worker.
ORDERS: Topic[Order, WorkerReply] = Topic(TypeAdapter(Order), TypeAdapter(WorkerReply))
START: TypeAdapter[WorkerStart] = TypeAdapter(WorkerStart)
