"""A call -> an HTTP request over a connection; what came back -> its answer or its error. Shared by both clients.

Nothing here sends or waits: the two clients do.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NoReturn, TypeVar

import httpx2
from pydantic import ValidationError

from ..wire import Answer, Health, Problem
from .calls import ApiCall
from .errors import BusyError, ClientError, ErrorFacts, TimedOut, UnexpectedAnswer, Unreachable, from_problem
from .retry import Outcome, Retry

AnswerT = TypeVar("AnswerT", bound=Answer)


def request_of(
    call: ApiCall[AnswerT], http: httpx2.Client | httpx2.AsyncClient, timeout_s: float | None
) -> httpx2.Request:
    """Build the request of one attempt; `timeout_s` None leaves the waiting to `http`'s own settings."""
    # A part's file name is its part's name: what a person's file is called stays on this machine.
    files = [(part, (part, content, "application/octet-stream")) for part, content in call.images]
    return http.build_request(
        call.method,
        call.path,
        data=dict(call.fields) or None,
        files=files or None,
        content=call.json,
        headers={"content-type": "application/json"} if call.json is not None else None,
        timeout=httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
    )


def answer_of(call: ApiCall[AnswerT], outcome: Outcome, retry: Retry) -> AnswerT:
    """Read the last attempt's outcome; raises a ClientError unless it is the answer."""
    if isinstance(outcome, httpx2.RequestError):
        _raise_lost(outcome)
    if outcome.status_code != HTTPStatus.OK:
        raise _refusal(outcome, retry)
    try:
        return call.answer.model_validate_json(outcome.content)
    except ValidationError as error:  # its own text would show the answer, an embedding perhaps
        raise _unexpected(outcome, _reason(error)) from None


def readiness_of(call: ApiCall[Health], outcome: Outcome, retry: Retry) -> bool:
    """Read the outcome of asking for readiness: True, or False if the service is there but not ready."""
    try:
        answer_of(call, outcome, retry)
    except BusyError:
        return False
    return True


def origin_of(url: httpx2.URL) -> str:
    """Return scheme, host and port only; passwords and tokens live in the other parts of an address."""
    return str(httpx2.URL(scheme=url.scheme, host=url.host, port=url.port))


def _raise_lost(error: httpx2.RequestError) -> NoReturn:
    origin = origin_of(error.request.url)
    if isinstance(error, httpx2.DecodingError):
        raise UnexpectedAnswer(f"the answer from {origin} cannot be decoded: {error}") from error
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        raise TimedOut(f"no answer from {origin} in time ({type(error).__name__}); give a longer timeout_s") from error
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    raise Unreachable(f"no answer from {origin} ({reason}); is the service running there?") from error


def _refusal(response: httpx2.Response, retry: Retry) -> ClientError:
    retry_after_s = retry.retry_after_s(response)
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError as error:
        if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            return _unexpected(response, _reason(error))
        facts = ErrorFacts(
            status=response.status_code, retry_after_s=retry_after_s
        )  # of a proxy in front of the service
        return BusyError(f"{origin_of(response.request.url)} is unavailable; try again later", facts)
    return from_problem(problem, retry_after_s=retry_after_s)


def _unexpected(response: httpx2.Response, reason: str) -> UnexpectedAnswer:
    origin = origin_of(response.request.url)
    message = f"{origin} did not answer {response.request.url.path} as visavis does ({reason}); is it visavis there?"
    return UnexpectedAnswer(message, ErrorFacts(status=response.status_code))


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


TIMEOUT_S = 30.0  # large photos on a slow and busy machine take seconds, not half a minute

HttpT = TypeVar("HttpT", httpx2.Client, httpx2.AsyncClient)


@dataclass(frozen=True, slots=True)
class Address:
    """A service's address; name and password stand apart, since the HTTP library logs every address it asks."""

    base_url: str
    auth: tuple[str, str] | None = field(repr=False)


def address_of(base_url: str | None) -> Address:
    """Check an address like http://127.0.0.1:8000; no error repeats it, since it may hold a password."""
    try:
        url = httpx2.URL(base_url or "")
    except httpx2.InvalidURL:
        raise ValueError("base_url is not an address; it looks like http://127.0.0.1:8000") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("base_url is not an http address; it looks like http://127.0.0.1:8000")
    if url.query or url.fragment:
        raise ValueError("base_url ends before any ? or #")
    return Address(origin_of(url) + url.path, (url.username, url.password) if url.userinfo else None)


def open_blocking(base_url: str | None, http: httpx2.Client | None, timeout_s: float | None) -> httpx2.Client:
    """Return the HTTP client of a FaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.Client)
    address = address_of(base_url)
    return httpx2.Client(base_url=address.base_url, auth=address.auth, timeout=TIMEOUT_S, trust_env=False)


def open_async(base_url: str | None, http: httpx2.AsyncClient | None, timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client of an AsyncFaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.AsyncClient)
    address = address_of(base_url)
    return httpx2.AsyncClient(base_url=address.base_url, auth=address.auth, timeout=TIMEOUT_S, trust_env=False)


def _callers_own(http: HttpT, kind: type[HttpT]) -> HttpT:
    if not isinstance(http, kind):
        raise TypeError(f"http is an httpx2.{kind.__name__} here, not {type(http).__name__}")
    if not http.base_url.host:
        raise ValueError("http does not know the service's address; make it with base_url=")
    return http


def _check(base_url: str | None, http: object, timeout_s: float | None) -> None:
    if (base_url is None) == (http is None):
        raise TypeError("give base_url or http=, one of the two")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s is above 0, not {timeout_s}")
