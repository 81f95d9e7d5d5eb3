"""ASGI middleware for every answer: a request id, security headers, an access log line, and a problem on failure.

It logs no query, no path except the route's pattern, no body and no message of an unexpected error, because these
could name or show a person.
"""

import logging
import re
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .access.caller import Caller
from .errors import ServiceError, Stopping
from .problems import problem_response
from .telemetry.logs import METHODS, NO_ROUTE, OTHER, RequestOutcome, log_request

failure_log = logging.getLogger("visavis.failure")

HEAD = "HEAD"
ANSWERED_TO_THE_END = ("/healthz", "/metrics")  # while the service is being stopped
CLIENT_LEFT = 499  # in the log only, since the client has disconnected
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNLESS_SET = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def new_request_id() -> str:
    """Return a random id, 16 hexadecimal digits."""
    return secrets.token_hex(8)


def unchanged(app: ASGIApp) -> ASGIApp:
    """Return an app as it is."""
    return app


def accept_any(_scope: Scope) -> None:
    """Check nothing."""


@dataclass(slots=True)
class RequestContext:
    """The id and the state of one request."""

    request_id: str
    send: Send
    method: str
    status: int | None = field(default=None)  # None = the answer has not started

    async def answer(self, message: Message) -> None:
        """Forward the app's message, with the common headers added; to HEAD, without the body."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update({**ALWAYS, "X-Request-Id": self.request_id})
            for name, value in UNLESS_SET.items():
                headers.setdefault(name, value)
        elif self.method == HEAD and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self.send(message)


@dataclass(frozen=True, slots=True)
class RequestContextMiddleware:
    """ASGI middleware around the app."""

    app: ASGIApp
    across_origins: Callable[[ASGIApp], ASGIApp] = unchanged  # adds CORS headers to the answers of an app
    check_host: Callable[[Scope], None] = accept_any  # raises a ServiceError for a request to another host
    audited: Callable[[ASGIApp], ASGIApp] = unchanged  # records the answers of an app before they go out
    clock: Callable[[], float] = time.perf_counter
    new_id: Callable[[], str] = new_request_id
    observe: Callable[[RequestOutcome], None] = log_request  # called once, after each answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived = self.clock()
        exchange = RequestContext(_given_id(scope) or self.new_id(), send, scope["method"])
        scope.setdefault("state", {}).update(request_id=exchange.request_id, arrived=arrived)
        if exchange.method == HEAD:  # answered like GET, so that no route has to know it
            scope = {**scope, "method": "GET"}
        try:
            await self._answer(scope, receive, exchange)
        finally:
            self.observe(_outcome(scope, exchange, (self.clock() - arrived) * 1000))

    async def _answer(self, scope: Scope, receive: Receive, exchange: RequestContext) -> None:
        try:
            self.check_host(scope)
            if scope["state"].get("stopping") and scope["path"] not in ANSWERED_TO_THE_END:
                raise Stopping
        except ServiceError as refusal:  # also of a preflight request, so before the CORS headers
            problem = problem_response(refusal, exchange.request_id)
            await self.audited(problem)(scope, receive, exchange.answer)
            return
        try:
            await self.across_origins(self.audited(self.app))(scope, receive, exchange.answer)
        except ServiceError as refusal:  # of access control; those of a route are answered inside
            await self._refuse(refusal, scope, receive, exchange)
        except ClientDisconnect:
            exchange.status = CLIENT_LEFT
        except Exception as error:  # noqa: BLE001 - the last place that can turn a failure into an answer
            _log_failure(error, exchange.request_id)
            if exchange.status is None:
                await self._refuse(error, scope, receive, exchange)

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, exchange: RequestContext) -> None:
        problem = problem_response(error, exchange.request_id)
        await self.across_origins(self.audited(problem))(scope, receive, exchange.answer)


def _given_id(scope: Scope) -> str | None:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if SAFE_ID.fullmatch(given) else None


def _outcome(scope: Scope, exchange: RequestContext, took_ms: float) -> RequestOutcome:
    state = scope["state"]
    caller = state.get("caller")
    return RequestOutcome(
        exchange.request_id,
        exchange.method if exchange.method in METHODS else OTHER,
        getattr(scope.get("route"), "path", NO_ROUTE),
        exchange.status,
        state.get("problem_code"),
        took_ms,
        caller.key_id if isinstance(caller, Caller) else None,
        _traceparent(scope),
        dict(state.get("stages_ms", {})),
    )


def _traceparent(scope: Scope) -> str | None:
    given = Headers(scope=scope).get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else None


def _log_failure(error: BaseException, request_id: str) -> None:
    where = "".join(traceback.format_tb(error.__traceback__))
    failure_log.error(
        "%s id=%s, message omitted because it may contain personal data\n%s", type(error).__name__, request_id, where
    )
