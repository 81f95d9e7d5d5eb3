"""Convert a call to an HTTP request, and a response to an answer or an error. Shared by both clients.

The two clients do the sending and waiting.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from math import inf, isfinite
from time import monotonic
from typing import NoReturn, TypeVar

import httpx2
from pydantic import ValidationError

from ..wire import Answer, Health, Problem
from .call_limits import CallLimits, DeadlinePassed, LimitedTransport
from .calls import ApiCall
from .errors import (
    BusyError,
    ClientError,
    ErrorFacts,
    RateLimitedError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
    from_problem,
    printable,
)
from .retry import Outcome, Retry

AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True, slots=True)
class Key:
    """The caller's API key; no repr shows it."""

    headers: dict[str, str] = field(repr=False)


NO_KEY = Key({})


def key_of(api_key: str | None, base_url: str | None) -> Key:
    """Return the key as headers. Raises ValueError, which does not show it, if it cannot be one."""
    if api_key is None:
        return NO_KEY
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key or not api_key:
        raise ValueError("api_key must be a key as visavis keys create prints it, without spaces and line breaks")
    if base_url is not None and address_of(base_url).auth is not None:
        raise ValueError("pass api_key or a name and password in base_url, not both")
    return Key({"authorization": f"Bearer {api_key}"})


def request_of(
    call: ApiCall[AnswerT], http: httpx2.Client | httpx2.AsyncClient, timeout_s: float | None, key: Key = NO_KEY
) -> httpx2.Request:
    """Build the request of one attempt; with `timeout_s` None the timeouts of `http` apply."""
    media_type = {"content-type": "application/json"} if call.json is not None else {}
    # The file name of a part is the part's name, because the name of a file could name a person.
    files = [(part, (part, content, "application/octet-stream")) for part, content in call.images]
    return http.build_request(
        call.method,
        call.path,
        data=dict(call.fields) or None,
        files=files or None,
        content=call.json,
        params=dict(call.query) or None,
        headers={"accept-encoding": "identity"} | media_type | dict(call.headers) | key.headers,
        timeout=httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
    )


def answer_of(call: ApiCall[AnswerT], outcome: Outcome, retry: Retry) -> AnswerT:
    """Return the answer in the last attempt's outcome. Raises a ClientError if there is none."""
    if isinstance(outcome, httpx2.RequestError):
        _raise_lost(outcome)
    if outcome.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise _refusal(outcome, retry)
    try:
        answer = call.answer.model_validate(parsed(outcome.content))
    except ValueError as error:  # its text would show the answer, for example an embedding
        raise _unexpected(outcome, _reason(error)) from None
    _require_one_each(call, answer, outcome)
    return answer


def _require_one_each(call: ApiCall[AnswerT], answer: Answer, response: httpx2.Response) -> None:
    """Raise UnexpectedAnswer unless the answer has a result for each thing that was asked."""
    n_results = len(getattr(answer, "results", ()))
    if n_results != call.n_results:
        raise _unexpected(response, f"{n_results} results instead of {call.n_results}")
    n_faces = len(getattr(answer, "faces", ()))
    if call.n_faces not in (None, n_faces):
        raise _unexpected(response, f"{n_faces} faces instead of {call.n_faces}")


def parsed(content: bytes) -> object:
    """Parse JSON from a server that may be hostile. Raises ValueError.

    Refused are NaN and infinities, also as 1e999; keys that occur twice; deep nesting; and more values than any answer
    has, because each could become an error of its own.
    """
    if content.count(b",") > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    try:
        value = json.loads(
            content.decode(), object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite, parse_int=_whole
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if b"\\u" in content:
        json.dumps(value, ensure_ascii=False).encode()  # raises UnicodeError for half of a surrogate pair
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("a key occurs twice")
    return named


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError("a number is not finite")
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(text)


def pause_s(call: ApiCall[AnswerT], retry: Retry, n_made: int, outcome: Outcome, limits: CallLimits) -> float | None:
    """Return the pause before the next attempt; None if there is none, also because the deadline would pass."""
    if not call.may_repeat and _may_be_done(outcome):
        return None
    asked_s = retry.pause_s(n_made, outcome)
    return None if asked_s is None or asked_s >= limits.left_s() else asked_s


def _may_be_done(outcome: Outcome) -> bool:
    """Whether the service may have done what it was asked, although this outcome is no answer."""
    if isinstance(outcome, httpx2.RequestError):
        return not isinstance(outcome, NOT_SENT)
    if outcome.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
        return False
    try:
        return Problem.model_validate(parsed(outcome.content)).code not in NOT_BEGUN
    except ValueError:
        return True  # of a proxy, which says nothing about the service behind it


def readiness_of(call: ApiCall[Health], outcome: Outcome, retry: Retry) -> bool:
    """Return whether the service is ready. Raises a ClientError if it cannot be reached."""
    try:
        answer_of(call, outcome, retry)
    except BusyError:
        return False
    return True


def origin_of(url: httpx2.URL) -> str:
    """Return scheme, host and port only; the other parts of an address can contain passwords and tokens."""
    return str(httpx2.URL(scheme=url.scheme, host=url.host, port=url.port))


def _raise_lost(error: httpx2.RequestError) -> NoReturn:
    origin = origin_of(error.request.url)
    if isinstance(error, httpx2.DecodingError):
        raise UnexpectedAnswer(f"the answer from {origin} cannot be decoded: {printable(str(error))}") from error
    if isinstance(error, DeadlinePassed):
        raise TimedOut(f"no answer from {origin} before the deadline; set a longer deadline_s") from error
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        raise TimedOut(f"no answer from {origin} in time ({type(error).__name__}); set a longer timeout_s") from error
    reason = printable(f"{type(error).__name__}: {error}".rstrip(": "))
    raise Unreachable(f"no answer from {origin} ({reason}); is the service running there?") from error


NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout)  # the service has not seen the request
NOT_BEGUN = frozenset({"busy", "memory_full", "stopping", "not_ready"})  # codes of a 503 before anything is done
OF_A_GALLERY = re.compile(r"(/v1/galleries)/.*")  # what follows names a person

# Refusals that may come from a proxy in front of the service, so without a problem.
OF_A_PROXY: Mapping[int, type[ClientError]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: BusyError,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimitedError,
}


def _refusal(response: httpx2.Response, retry: Retry) -> ClientError:
    retry_after_s = retry.retry_after_s(response)
    try:
        problem = Problem.model_validate(parsed(response.content))
    except ValueError as error:
        kind = OF_A_PROXY.get(response.status_code)
        if kind is None:
            return _unexpected(response, _reason(error))
        facts = ErrorFacts(status=response.status_code, retry_after_s=retry_after_s)
        return kind(f"{origin_of(response.request.url)} is unavailable; try again later", facts)
    return from_problem(problem, status=response.status_code, retry_after_s=retry_after_s)


def _unexpected(response: httpx2.Response, reason: str) -> UnexpectedAnswer:
    origin = origin_of(response.request.url)
    route = OF_A_GALLERY.sub(r"\1", response.request.url.path)
    message = f"{origin} did not answer {route} as visavis does ({reason}); is it visavis there?"
    return UnexpectedAnswer(message, ErrorFacts(status=response.status_code))


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return "no valid JSON" if isinstance(error, json.JSONDecodeError | UnicodeError) else str(error)
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return printable(f"{place}: {first['msg']}" if place else first["msg"])


MAX_VALUES = 300_000  # 256 faces with 100 candidates each are 220,000
MAX_DIGITS = 30

DEADLINE_S = 300.0  # of a whole call: time to send 16 large photos over a slow connection
TIMEOUT_S = 30.0  # even large photos on a slow and busy machine need only seconds

HttpT = TypeVar("HttpT", httpx2.Client, httpx2.AsyncClient)


@dataclass(frozen=True, slots=True)
class Address:
    """A service's address; name and password are separate, because the HTTP library logs every address."""

    base_url: str
    auth: tuple[str, str] | None = field(repr=False)


def address_of(base_url: str | None) -> Address:
    """Validate an address like http://127.0.0.1:8000; no error repeats it, because it may contain a password."""
    try:
        url = httpx2.URL(base_url or "")
    except httpx2.InvalidURL:
        raise ValueError("base_url is not an address; it looks like http://127.0.0.1:8000") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("base_url is not an http address; it looks like http://127.0.0.1:8000")
    if url.query or url.fragment:
        raise ValueError("base_url must not contain ? or #")
    return Address(origin_of(url) + url.path, (url.username, url.password) if url.userinfo else None)


def open_blocking(base_url: str | None, http: httpx2.Client | None, timeout_s: float | None) -> httpx2.Client:
    """Return the HTTP client of a FaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.Client)
    address = address_of(base_url)
    return httpx2.Client(
        base_url=address.base_url,
        auth=address.auth,
        timeout=TIMEOUT_S,
        trust_env=False,
        transport=LimitedTransport(),
        cookies=_no_cookies(),
    )


def open_async(base_url: str | None, http: httpx2.AsyncClient | None, timeout_s: float | None) -> httpx2.AsyncClient:
    """Return the HTTP client of an AsyncFaceClient."""
    _check(base_url, http, timeout_s)
    if http is not None:
        return _callers_own(http, httpx2.AsyncClient)
    address = address_of(base_url)
    return httpx2.AsyncClient(
        base_url=address.base_url, auth=address.auth, timeout=TIMEOUT_S, trust_env=False, cookies=_no_cookies()
    )


def _no_cookies() -> CookieJar:
    """A jar that stays empty: visavis sets no cookies, and another server could fill it without end."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _callers_own(http: HttpT, kind: type[HttpT]) -> HttpT:
    if not isinstance(http, kind):
        raise TypeError(f"http must be an httpx2.{kind.__name__}, not {type(http).__name__}")
    if not http.base_url.host:
        raise ValueError("http does not have the service's address; create it with base_url=")
    return http


def _check(base_url: str | None, http: object, timeout_s: float | None) -> None:
    if (base_url is None) == (http is None):
        raise TypeError("pass exactly one of base_url and http=")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s must be greater than 0, not {timeout_s}")


def limits_of(call: ApiCall[AnswerT], deadline_s: float) -> CallLimits:
    """Return the limits of a call that begins now."""
    return CallLimits(call.max_answer_bytes, monotonic() + deadline_s)


def deadline(deadline_s: float) -> float:
    """Check a deadline of calls. Raises ValueError."""
    if not 0 < deadline_s < inf:
        raise ValueError(f"deadline_s must be greater than 0 and finite, not {deadline_s}")
    return deadline_s
