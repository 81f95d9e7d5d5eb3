"""What requests tell the audit log, and the middleware that holds an answer back until its line is on disk."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeAlias, TypeVar

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedder import (
    Comparison,
    ComparisonBatch,
    Distances,
    Embedding,
    EmbeddingBatch,
    ImageError,
    ImageTooSlow,
    ImageUnreadable,
    Judgement,
    ModelIdentity,
    OperatingPoint,
    QualityChoice,
    SampleError,
)

from ..access.caller import caller_of
from ..errors import AuditUnavailable
from ..problems import MEDIA_TYPE, problem_response
from ..wire import Problem
from .log import AuditRecorder

T = TypeVar("T")

REQUEST = "request"
DIGITS = 6  # of a distance
CLIENT_LEFT = 499  # in the log only, since the client has disconnected
FIRST_ERROR = 400
NOT_FOUND, METHOD_NOT_ALLOWED = 404, 405
COMPUTED = {422, 500}  # and below 400: answers that cost a computation; all others are refusals, of which many may come
UNREAD = {each.code for each in (ImageError, ImageUnreadable, ImageTooSlow)}  # with status 422, but soon found
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True)
class Considered:
    """What an answer rests on: numbers about faces, in the order of the references; never an image or an embedding."""

    operating_point: str | None = None
    quality: QualityChoice | None = None  # the request's rule for poor photos
    distances: tuple[float | None, ...] = ()  # None = the photo could not be used
    normalized_distances: tuple[float | None, ...] = ()
    thresholds: tuple[float | None, ...] = ()
    n_faces: tuple[int | None, ...] = ()  # in each image; None = not counted
    n_embeddings: int | None = None  # that were returned
    fpir: float | None = None  # that an identification claims; its numbers are those of the nearest candidate by face
    n_templates: int | None = None  # that each face was compared with
    n_candidates: tuple[int, ...] = ()  # that were returned, by face


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions, in the order of the references."""

    same: tuple[bool | None, ...] = ()  # None = the photo could not be used
    problems: tuple[str | None, ...] = ()  # the code of the problem of each photo; empty if there was none
    identified: tuple[bool, ...] = ()  # whether each face is that of somebody in the gallery
    n_enrolled: int | None = None  # templates
    n_already_there: int | None = None  # photos that were sent again
    forgotten: str | None = None  # a gallery, a person or a template
    n_people_forgotten: int | None = None
    n_templates_forgotten: int | None = None


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """What a route tells the audit log."""

    considered: Considered = Considered()
    decided: Decided = Decided()


def note_facts(request: Request, facts: AuditFacts) -> None:
    """Keep the facts of a request until its answer is sent."""
    request.state.audit_facts = facts


def facts_of_comparison(comparison: Comparison, quality: QualityChoice) -> AuditFacts:
    """Return the facts of one comparison."""
    n_faces = _unless_empty([comparison.probe.n_faces, comparison.reference.n_faces])
    considered = Considered(_name(comparison.operating_point), quality, n_faces=n_faces)
    return _with_results(considered, [comparison])


def facts_of_batch(batch: ComparisonBatch, quality: QualityChoice) -> AuditFacts:
    """Return the facts of a comparison with several references."""
    compared = [each for each in batch.results if isinstance(each, Comparison)]
    if not compared:
        return _with_results(Considered(quality=quality), batch.results)
    references = [each.reference.n_faces if isinstance(each, Comparison) else None for each in batch.results]
    n_faces = _unless_empty([compared[0].probe.n_faces, *references])
    considered = Considered(_name(compared[0].operating_point), quality, n_faces=n_faces)
    return _with_results(considered, batch.results)


def facts_of_distances(distances: Distances) -> AuditFacts:
    """Return the facts of a comparison of embeddings."""
    return _with_results(Considered(_name(distances.operating_point)), distances.results)


def facts_of_judgement(judged: Judgement, point: OperatingPoint | None, quality: QualityChoice) -> AuditFacts:
    """Return the facts of one distance."""
    return _with_results(Considered(_name(point), quality), [judged])


def facts_of_embeddings(found: Embedding | EmbeddingBatch) -> AuditFacts:
    """Return the facts of an answer with embeddings."""
    if isinstance(found, Embedding):
        return AuditFacts(Considered(n_faces=_unless_empty([found.sample.n_faces]), n_embeddings=1))
    n_embeddings = sum(len(each) for each in found.results if not isinstance(each, SampleError))
    decided = Decided(problems=_codes(found.results))
    return AuditFacts(Considered(n_embeddings=n_embeddings), decided)


def facts_of_faces(n_faces: int | None) -> AuditFacts:
    """Return the facts of an answer about the faces of one image."""
    return AuditFacts(Considered(n_faces=_unless_empty([n_faces])))


def _with_results(considered: Considered, results: Sequence[Judgement | SampleError]) -> AuditFacts:
    judged = [None if isinstance(each, SampleError) else each for each in results]
    numbers = replace(
        considered,
        distances=tuple(rounded(each.distance if each else None) for each in judged),
        normalized_distances=_unless_empty(rounded(each.normalized_distance if each else None) for each in judged),
        thresholds=tuple(rounded(each.threshold if each else None) for each in judged),
    )
    return AuditFacts(numbers, Decided(tuple(each.same if each else None for each in judged), _codes(results)))


def _name(point: OperatingPoint | None) -> str | None:
    return None if point is None else point.name


def rounded(number: float | None) -> float | None:
    """Return a distance as the log has it."""
    return None if number is None else round(number, DIGITS)


def _unless_empty(values: Iterable[T | None]) -> tuple[T | None, ...]:
    kept = tuple(values)
    return kept if any(each is not None for each in kept) else ()


def _codes(results: Iterable[object]) -> tuple[str | None, ...]:
    codes = tuple(each.code if isinstance(each, SampleError) else None for each in results)
    return codes if any(codes) else ()


@dataclass(frozen=True, slots=True)
class ProblemFacts:
    """What the log keeps of a problem; never its detail."""

    code: str | None = None
    image: str | None = None
    n_faces: int | None = None


Withhold: TypeAlias = Callable[[Send], Awaitable[None]]
Record: TypeAlias = Callable[[int, ProblemFacts], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AuditMiddleware:
    """ASGI middleware that lets no answer of a computing route out before its line is on disk.

    Every request that is not GET, HEAD or OPTIONS is recorded, except those for addresses that do not exist.
    """

    app: ASGIApp
    recorder: AuditRecorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self.app(scope, receive, send)
            return

        async def withhold(send: Send) -> None:
            await problem_response(AuditUnavailable(), scope["state"]["request_id"])(scope, receive, send)

        try:
            await self.recorder.require_writable()
        except AuditUnavailable:
            await withhold(send)
            return
        record = partial(record_answer, self.recorder, Request(scope))
        await _answer(self.app, scope, receive, AuditedAnswer(send, withhold, record))


async def _answer(app: ASGIApp, scope: Scope, receive: Receive, answer: "AuditedAnswer") -> None:
    try:
        await app(scope, receive, answer)
    except ClientDisconnect:
        with suppress(AuditUnavailable):  # nobody is there to be told
            await answer.record(CLIENT_LEFT, ProblemFacts("client_left"))
        raise


@dataclass(slots=True, eq=False)
class AuditedAnswer:
    """Holds back the start of one answer until it is recorded, and replaces it if that fails."""

    send: Send
    withhold: Withhold
    record: Record
    start: Message | None = None
    is_withheld: bool = False

    async def __call__(self, message: Message) -> None:
        """Take a message of the app."""
        if message["type"] == "http.response.start":
            self.start = message
            return
        if self.start is not None:
            await self._begin(self.start, message)
        if not self.is_withheld:
            await self.send(message)

    async def _begin(self, start: Message, first: Message) -> None:
        self.start = None
        try:
            await self.record(start["status"], _problem_in(start, first))
        except AuditUnavailable:
            self.is_withheld = True
            await self.withhold(self.send)
        else:
            await self.send(start)


def _problem_in(start: Message, first: Message) -> ProblemFacts:
    """What a problem says, as it is sent: so the log needs to know nothing about who refused the request."""
    if Headers(raw=start["headers"]).get("content-type") != MEDIA_TYPE:
        return ProblemFacts()
    problem = Problem.model_validate_json(first.get("body", b""))
    return ProblemFacts(problem.code, problem.image, problem.n_faces)


async def record_answer(recorder: AuditRecorder, request: Request, status: int, problem: ProblemFacts) -> None:
    """Record how a request is answered. Raises AuditUnavailable."""
    route = getattr(request.scope.get("route"), "path", None)
    if status == METHOD_NOT_ALLOWED or (status == NOT_FOUND and route is None):
        return
    key = caller_of(request).key_id
    fields = _fields(request, route, key, status) | {"problem": asdict(problem)}
    if status < FIRST_ERROR or (status in COMPUTED and problem.code not in UNREAD):
        await recorder.record(REQUEST, fields)
    else:
        await recorder.record_refusal(REQUEST, fields, key=key, code=problem.code or str(status))


def _fields(request: Request, route: str | None, key: str | None, status: int) -> dict[str, object]:
    facts = getattr(request.state, "audit_facts", None)
    found = getattr(request.state, "model", None)
    model = found if isinstance(found, ModelIdentity) else None
    return {
        "key": key,
        "request_id": request.state.request_id,
        "route": route,
        "model": model.digest if model else None,
        "card_digest": model.card_digest if model else None,
        **(asdict(facts) if isinstance(facts, AuditFacts) else {}),
        "status": status,
    }
