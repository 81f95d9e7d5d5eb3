"""Run a request: hold a slot, read the body, compute in a thread. Requests beyond the slots are refused at once."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TypeVar

from anyio import CancelScope, CapacityLimiter, create_task_group, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from embedder import FaceEmbedder, Timings
from embedder.explain import Explainer

from .errors import Busy
from .request_body import BodyReader
from .request_parsing import OptionsT, ParsedRequest, RequestSpec
from .served_model import LoadedModel, ServedModel

T = TypeVar("T")


class ConcurrencyLimiter:
    """Admits `max_concurrent` + `max_waiting` requests and computes `max_concurrent` of them at a time."""

    def __init__(self, *, max_concurrent: int, max_waiting: int) -> None:
        self._n_slots = max_concurrent + max_waiting
        self._n_taken = 0
        self._workers = CapacityLimiter(max_concurrent)

    @property
    def n_taken(self) -> int:
        """The number of slots in use."""
        return self._n_taken

    @property
    def n_slots(self) -> int:
        """The number of all slots."""
        return self._n_slots

    @property
    def n_computing(self) -> int:
        """The number of requests being computed."""
        return self._workers.borrowed_tokens

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot, starting before the body is read, which also limits the bodies in memory.

        Raises Busy if no slot is free. An exception or a cancellation releases the slot.
        """
        if self._n_taken >= self._n_slots:
            raise Busy
        self._n_taken += 1
        try:
            yield
        finally:
            self._n_taken -= 1

    async def work(self, task: Callable[[], T]) -> T:
        """Run `task` in a thread as soon as one is free; cancellation works only until the task starts."""
        return await to_thread.run_sync(task, limiter=self._workers)


BodyT = TypeVar("BodyT")


def ignore(_result: object) -> None:
    """Observe nothing."""


class StageTimes(dict[str, float]):
    """Stage of a request -> time in ms. `receive` and `wait` are measured here, the others by the embedder."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock, self._since = clock, clock()

    def end(self, stage: str) -> None:
        """End a stage; the next one begins."""
        now = self._clock()
        self[stage], self._since = (now - self._since) * 1000, now

    def ending(self, stage: str, work: Callable[[BodyT], T]) -> Callable[[BodyT], T]:
        """Return `work`, which ends a stage as it starts."""

        def started(body: BodyT) -> T:
            self.end(stage)
            return work(body)

        return started

    def add(self, result: object) -> None:
        """Add the times that the embedder measured, if the result has them."""
        found = result[0] if isinstance(result, tuple) else result  # with the options of its request
        timings = getattr(getattr(found, "comparison", found), "timings_ms", None)
        if isinstance(timings, Timings):
            self.update(asdict(timings))


@dataclass(frozen=True, slots=True)
class RequestExecutor:
    """The objects that every route with inference uses."""

    served: ServedModel
    body_reader: BodyReader
    limiter: ConcurrencyLimiter
    observe: Callable[[object], None] = field(default=ignore, repr=False)  # called with each result of `work`
    clock: Callable[[], float] = field(default=time.perf_counter, repr=False)

    @property
    def embedder(self) -> FaceEmbedder:
        """The embedder of this request."""
        return self.served.of_request.embedder

    @property
    def explainer(self) -> Explainer:
        """The explainer of this request."""
        return self.served.of_request.explainer

    async def run(
        self, request: Request, spec: RequestSpec[OptionsT], work: Callable[[ParsedRequest[OptionsT]], T]
    ) -> T:
        """Read images and options, run `work` on them in a thread and return its result."""
        return await self.run_reading(request, lambda: self.body_reader.read(request, spec), work)

    async def run_reading(
        self, request: Request, read: Callable[[], Awaitable[BodyT]], work: Callable[[BodyT], T]
    ) -> T:
        """Hold a slot while `read` receives the body and `work` runs in a thread.

        Raises Busy, ClientDisconnect and the errors of both functions.
        """
        stages = request.state.stages_ms = StageTimes(self.clock)
        with self.limiter.slot(), self.served.held() as model:
            request.state.model = model.embedder.identity
            body = await read()
            stages.end("receive")
            compute = stages.ending("wait", partial(self._holding, model, work))
            result = await while_connected(request, lambda: self.limiter.work(partial(compute, body)))
        stages.add(result)
        self.observe(result)
        return result

    def _holding(self, model: LoadedModel, work: Callable[[BodyT], T], body: BodyT) -> T:
        with self.served.held(again=model):
            return work(body)

    def elapsed_ms(self, request: Request) -> float:
        """Milliseconds since the request arrived."""
        return (self.clock() - float(request.state.arrived)) * 1000


async def while_connected(request: Request, task: Callable[[], Awaitable[T]]) -> T:
    """Await `task`; if the client disconnects first, cancel it and raise ClientDisconnect.

    The body must have been read before, because the next message after it is the disconnect.
    """
    outcome: list[T | Exception] = []
    async with create_task_group() as group:
        group.start_soon(_cancel_when_gone, request, group.cancel_scope)
        try:
            outcome.append(await task())
        except Exception as error:  # noqa: BLE001 - raised below: inside, the group would wrap it
            outcome.append(error)
        group.cancel_scope.cancel()
    if not outcome:
        raise ClientDisconnect
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


async def _cancel_when_gone(request: Request, scope: CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
