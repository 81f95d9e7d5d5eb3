"""A call -> an HTTP request; what came back -> its answer or its error. The half that both clients share.

Sends nothing and waits for nothing.
"""

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
