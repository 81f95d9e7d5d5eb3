"""The way of a request that needs the embedder: a place, its body, a thread, an answer; or its client left."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from anyio import CancelScope, create_task_group
from fastapi import Request
from starlette.requests import ClientDisconnect

from embedder import FaceEmbedder

from .gate import ConcurrencyLimiter, T
from .intake import BodyReader
from .shapes import ParsedRequest, RequestSpec

AskedT = TypeVar("AskedT")


@dataclass(frozen=True, slots=True)
class InferenceRunner:
    """What every route that computes needs."""

    embedder: FaceEmbedder
    intake: BodyReader
    gate: ConcurrencyLimiter
    clock: Callable[[], float] = field(default=time.perf_counter, repr=False)

    async def submitted(self, request: Request, shape: RequestSpec, work: Callable[[ParsedRequest], T]) -> T:
        """Read images and options, and return what `work` makes of them in a thread."""
        return await self.serve(request, lambda: self.intake.submission(request, shape), work)

    async def serve(self, request: Request, read: Callable[[], Awaitable[AskedT]], work: Callable[[AskedT], T]) -> T:
        """Hold a place while `read` takes in the body and `work` runs in a thread.

        Raises Busy, ClientDisconnect, and what the two raise.
        """
        with self.gate.place():
            asked = await read()
            return await while_connected(request, lambda: self.gate.work(partial(work, asked)))

    def elapsed_ms(self, request: Request) -> float:
        """Milliseconds since the request arrived."""
        return (self.clock() - float(request.state.arrived)) * 1000


async def while_connected(request: Request, task: Callable[[], Awaitable[T]]) -> T:
    """Await `task`, unless the client leaves first: then it is cancelled and ClientDisconnect is raised.

    The body must have been read; nothing else tells a client that waits from one that left.
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
