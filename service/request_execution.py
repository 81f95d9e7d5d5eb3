"""Run a request: hold a place and memory, read the body, compute in a thread before a deadline; fair between callers.

Requests beyond the places or the memory are refused at once. If another caller holds more of what is missing, that
caller's newest request is refused instead, so one caller alone may use everything, but cannot shut out others.
"""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from anyio import CancelScope, CapacityLimiter, Event, create_task_group, move_on_after, to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from embedder import Deadline, DeadlineExceeded, FaceEmbedder, OutOfMemory, Timings, use_deadline
from embedder.explain import Explainer

from .access.caller import caller_of
from .errors import BodyTooSlow, Busy, GalleriesOff, MemoryFull, Unavailable
from .request_body import BodyReader, HoldBytes
from .request_parsing import OptionsT, ParsedRequest, RequestSpec
from .served_model import ServedModel

if TYPE_CHECKING:
    from gallery import Galleries

LATELY_S = 10.0
MAX_REMEMBERED = 1000  # callers
SLOW_S, SLOW_RATE = 0.5, 100_000  # a request that arrives for longer, at fewer bytes/s, may lose its place
FAR_MORE = 4  # times as many places: whose caller holds so many gives way

T = TypeVar("T")
BodyT = TypeVar("BodyT")


class Phase(Enum):
    """What a request does with its place."""

    RECEIVING = 0
    WAITING = 1
    COMPUTING = 2


@dataclass(slots=True, eq=False)
class Place:
    """The place of one request, the bytes that it holds, and what its caller is counted by."""

    caller: str
    scope: CancelScope = field(repr=False)
    since_s: float
    phase: Phase = Phase.RECEIVING
    n_bytes: int = 0
    n_arrived: int = 0
    turn: Event = field(default_factory=Event, repr=False)  # set when it may compute
    # What makes the error: one that is stored would refer to itself by its traceback, and keep the body in memory.
    refusal: Callable[[], Unavailable] | None = None
    deadline: Deadline | None = None  # of its work

    def refuse(self, why: Callable[[], Unavailable]) -> None:
        """End the request with this error, for another caller's sake."""
        self.refusal = why
        self.scope.cancel()

    def require_kept(self) -> None:
        """Raise the error if the request has been refused; its task may go on up to where it next waits."""
        if self.refusal is not None:
            raise self.refusal()


class ConcurrencyLimiter:
    """Computes `max_concurrent` requests at a time, and lets `max_concurrent` + `max_waiting` be computed or wait.

    As many further ones may be received; if there are more, a slow one gives its place to the next. The callers whose
    requests wait take turns, and one thread is kept free of a caller for others that have sent requests lately.
    `max_bytes` bounds what all requests hold.
    """

    def __init__(
        self,
        *,
        max_concurrent: int,
        max_waiting: int,
        max_bytes: int = 2**30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes = max_bytes
        self._max_concurrent, self._n_places = max_concurrent, max_concurrent + max_waiting
        self._threads = CapacityLimiter(max_concurrent)
        self._places: list[Place] = []  # the oldest first
        self._queues: OrderedDict[str, deque[Place]] = OrderedDict()  # by caller, the next one first
        self._n_bytes = 0
        self._clock = clock
        self._seen_s: dict[str, float] = {}  # when each caller sent its newest request, the oldest first

    @property
    def n_bytes(self) -> int:
        """The number of bytes that all requests hold."""
        return self._n_bytes

    @property
    def n_places(self) -> int:
        """The number of requests that may wait or be computed."""
        return self._n_places

    def n_in(self, *phases: Phase) -> int:
        """Return the number of requests in these phases."""
        return sum(each.phase in phases for each in self._places)

    @contextmanager
    def slot(self, caller: str = "") -> Iterator[Place]:
        """Hold a place, starting before the body is read. An exception or a cancellation releases it.

        Raises Busy if none is free, and Busy or MemoryFull if it is taken away for another caller's request.
        """
        with CancelScope() as scope:
            place = Place(caller, scope, self._clock())
            self._admit(place)
            try:
                yield place
            finally:
                self._release(place)
        place.require_kept()

    def hold(self, place: Place, n_bytes: int, n_arrived: int = 0) -> None:
        """Count bytes as held by a request, until it leaves its place, and bytes that arrived. Raises MemoryFull."""
        place.require_kept()
        place.n_arrived += n_arrived
        while n_bytes and self._n_bytes + n_bytes > self.max_bytes:
            held = self._held(lambda each: each.n_bytes)
            newest = self._newest_of_heaviest(held, lambda each: each.n_bytes > 0 and each.phase != Phase.COMPUTING)
            if newest is None or held[newest.caller] - newest.n_bytes < held[place.caller] + n_bytes:
                newest = self._slowest(lambda each: each.n_bytes > 0 and each is not place)
            if newest is None:
                raise MemoryFull
            self._refuse(newest, MemoryFull)
        place.n_bytes += n_bytes
        self._n_bytes += n_bytes

    async def work(self, place: Place, task: Callable[[], T], deadline: Deadline) -> T:
        """Run `task` in a thread when it is the place's turn. Raises DeadlineExceeded if it is not begun in time.

        Cancellation works only until the task starts.
        """
        place.require_kept()
        place.phase, place.deadline = Phase.WAITING, deadline
        self._queues.setdefault(place.caller, deque()).append(place)
        self._give_turns()
        with move_on_after(deadline.remaining_s):
            await place.turn.wait()
        if not place.turn.is_set():
            raise DeadlineExceeded(deadline.limit_s)
        return await to_thread.run_sync(partial(_run, task, deadline), limiter=self._threads)

    def _admit(self, place: Place) -> None:
        self._make_room(place.caller, (Phase.RECEIVING,))
        self._make_room(place.caller, (Phase.WAITING, Phase.COMPUTING))
        self._places.append(place)
        self._seen_s.pop(place.caller, None)
        self._seen_s[place.caller] = self._clock()
        if len(self._seen_s) > MAX_REMEMBERED:
            del self._seen_s[next(iter(self._seen_s))]
        self._give_way()

    def _make_room(self, caller: str, phases: tuple[Phase, ...]) -> None:
        if self.n_in(*phases) < self._n_places:
            return
        held = self._held(lambda each: each.phase in phases)
        newest = self._newest_of_heaviest(held, lambda each: each.phase == phases[0])
        if newest is None or held[newest.caller] <= held[caller] + 1:
            newest = self._slowest(lambda _: phases[0] is Phase.RECEIVING)
        if newest is None:
            raise Busy
        self._refuse(newest, Busy)

    def _slowest(self, may_go: Callable[[Place], bool]) -> Place | None:
        """Of these requests, the one that arrives most slowly, if it is slower than others should wait for."""
        now_s = self._clock()
        late = [
            each
            for each in self._places
            if each.phase is Phase.RECEIVING and now_s - each.since_s > SLOW_S and may_go(each)
        ]
        slowest = min(late, key=lambda each: each.n_arrived / (now_s - each.since_s), default=None)
        return slowest if slowest is not None and slowest.n_arrived < SLOW_RATE * (now_s - slowest.since_s) else None

    def _held(self, amount: Callable[[Place], int]) -> Counter[str]:
        """What each caller holds."""
        held: Counter[str] = Counter()
        for each in self._places:
            held[each.caller] += amount(each)
        return held

    def _newest_of_heaviest(self, held: Counter[str], may_go: Callable[[Place], bool]) -> Place | None:
        candidates = [each for each in self._places if may_go(each)]
        heaviest = max((each.caller for each in candidates), key=lambda caller: held[caller], default=None)
        return next((each for each in reversed(candidates) if each.caller == heaviest), None)

    def _refuse(self, place: Place, why: Callable[[], Unavailable]) -> None:
        place.refuse(why)
        self._release(place)  # at once: its task ends a little later

    def _release(self, place: Place) -> None:
        if place in self._places:
            self._places.remove(place)
            self._n_bytes -= place.n_bytes
        queue = self._queues.get(place.caller, deque())
        if place in queue:
            queue.remove(place)
            self._forget_if_empty(place.caller)
        self._give_turns()

    def _give_turns(self) -> None:
        """Let the next callers in turn compute, as many as there are threads for."""
        while self.n_in(Phase.COMPUTING) < self._max_concurrent:
            caller = next((each for each in self._queues if self._may_compute(each)), None)
            if caller is None:
                break
            place = self._queues[caller].popleft()
            place.phase = Phase.COMPUTING
            place.turn.set()
            self._queues.move_to_end(caller)  # behind all others
            self._forget_if_empty(caller)
        self._give_way()

    def _give_way(self) -> None:
        """Pause the computations of callers who hold far more places than another whose request is being computed."""
        computing = [each for each in self._places if each.phase is Phase.COMPUTING]
        held = Counter(each.caller for each in self._places)
        fewest = min((held[each.caller] for each in computing), default=0)
        for each in computing:
            if each.deadline is not None:
                each.deadline.pause(is_paused=held[each.caller] > FAR_MORE * fewest)

    def _may_compute(self, caller: str) -> bool:
        """Whether a caller may use one more thread. It may not use the last one if others have sent requests lately."""
        n_computing = sum(each.caller == caller and each.phase == Phase.COMPUTING for each in self._places)
        newest_other = next((seen_s for each, seen_s in reversed(self._seen_s.items()) if each != caller), None)
        is_alone = newest_other is None or self._clock() - newest_other > LATELY_S
        return is_alone or n_computing < max(1, self._max_concurrent - 1)

    def _forget_if_empty(self, caller: str) -> None:
        if not self._queues[caller]:
            del self._queues[caller]


def _run(task: Callable[[], T], deadline: Deadline) -> T:
    if deadline.remaining_s == 0:
        raise DeadlineExceeded(deadline.limit_s)
    with use_deadline(deadline):
        try:
            return task()
        except MemoryError:
            raise OutOfMemory from None  # without the traceback, which holds the images


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

    def add(self, result: object) -> None:
        """Add the times that the embedder measured, if the result has them."""
        found = result[0] if isinstance(result, tuple) else result  # with the options of its request
        timings = getattr(getattr(found, "comparison", found), "timings_ms", None)
        if isinstance(timings, Timings):
            self.update(asdict(timings))


@dataclass(frozen=True, slots=True)
class RequestExecutor:
    """The objects that every route with inference uses. `timeout_s` is for a request from the end of its body on."""

    served: ServedModel
    body_reader: BodyReader
    limiter: ConcurrencyLimiter
    timeout_s: float = 30.0
    max_pixels: int | None = None  # of all images of a request
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

    @property
    def galleries(self) -> "Galleries":
        """The galleries, as the model of this request compares them. Raises GalleriesOff."""
        found = self.served.of_request.galleries
        if found is None:
            raise GalleriesOff
        return found

    async def run(
        self, request: Request, spec: RequestSpec[OptionsT], work: Callable[[ParsedRequest[OptionsT]], T]
    ) -> T:
        """Read images and options, run `work` on them in a thread and return its result."""
        return await self.run_reading(request, lambda hold: self.body_reader.read(request, spec, hold), work)

    async def run_reading(
        self,
        request: Request,
        read: Callable[[HoldBytes], Awaitable[Callable[[], BodyT]]],
        work: Callable[[BodyT], T],
    ) -> T:
        """Hold a slot while `read` receives the body, and while the body is parsed and `work` runs in a thread.

        Raises Busy, MemoryFull, DeadlineExceeded, OutOfMemory, ClientDisconnect and the errors of both functions.
        """
        stages = request.state.stages_ms = StageTimes(self.clock)
        with self.limiter.slot(caller_of(request).share) as place, self.served.held() as model:
            request.state.model = model.embedder.identity
            body = [await read(partial(self.limiter.hold, place))]  # emptied at the end
            stages.end("receive")
            deadline = Deadline(self.timeout_s, self.max_pixels)

            def compute() -> T:
                stages.end("wait")
                with self.served.held(again=model):
                    return work(body[0]())

            try:
                result = await while_connected(request, partial(self.limiter.work, place, compute, deadline), deadline)
            finally:
                body.clear()  # the traceback of an error would keep it for a while
        stages.add(result)
        self.observe(result)
        return result

    async def run_without_body(self, request: Request, work: Callable[[], T]) -> T:
        """Run `work` in a thread, in a slot, and return its result."""
        return await self.run_reading(request, _no_body, lambda _: work())

    def elapsed_ms(self, request: Request) -> float:
        """Milliseconds since the request arrived."""
        return (self.clock() - float(request.state.arrived)) * 1000


async def _no_body(_: HoldBytes) -> Callable[[], None]:
    return lambda: None


async def while_connected(request: Request, task: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
    """Await `task`; if the client disconnects first, cancel it and its deadline, and raise ClientDisconnect.

    What is left of the body is dropped, so a task that needs it has read it before.
    """
    outcome: list[T | Exception] = []
    async with create_task_group() as group:
        group.start_soon(_cancel_when_gone, request, group.cancel_scope, deadline)
        try:
            outcome.append(await task())
        except Exception as error:  # noqa: BLE001 - raised below: inside, the group would wrap it
            outcome.append(error)
        group.cancel_scope.cancel()
    if not outcome or deadline.is_cancelled:
        raise ClientDisconnect
    ended = outcome.pop()
    if not isinstance(ended, Exception):
        return ended
    try:
        raise ended
    finally:
        del ended  # which refers to itself by its traceback, and would keep the images in memory


async def _has_left(request: Request) -> bool:
    try:
        return bool((await request.receive())["type"] == "http.disconnect")
    except BodyTooSlow:  # a body that the route does not read, so its rate does not matter
        return False


async def _cancel_when_gone(request: Request, scope: CancelScope, deadline: Deadline) -> None:
    while not await _has_left(request):
        pass
    deadline.cancel()  # stops a task that has begun, at its next check
    scope.cancel()  # keeps one that waits from beginning
