"""Errors as RFC 9457 problem details, and their handlers. `problem_types.py` has the status and words of each."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from embedder import FaceCovered, LowQuality, OutOfMemory, VisavisError
from gallery import ClaimUnavailable, EnrolmentRefused, StoreUnavailable

from .errors import RETRY_AFTER_S, InternalError, MalformedRequest, MethodNotAllowed, NotFound, ServiceError
from .problem_types import ProblemType, problem_type_of
from .wire import Problem

log = logging.getLogger("visavis.gallery")

MEDIA_TYPE = "application/problem+json"
ERRORS_PAGE = "/errors"
NEAR = 0.8  # similarity of two addresses, 0 to 1, from which one is suggested for the other
LONGEST_PATH = 100
NOT_FOUND, METHOD_NOT_ALLOWED, FAILED, UNAVAILABLE = 404, 405, 500, 503


def type_uri(code: str) -> str:
    """Return the URI of the service's description of a code."""
    return f"{ERRORS_PAGE}#{code}"


def problem_of(error: Exception, request_id: str | None = None) -> Problem:
    """Convert any error to a problem; an unexpected one becomes an internal error, without its message."""
    if isinstance(error, MemoryError):
        error = OutOfMemory()
    known = error if isinstance(error, VisavisError | ServiceError) else InternalError()
    kind = problem_type_of(type(known))
    fields = {
        "type": type_uri(known.code),
        "title": kind.title,
        "status": kind.status,
        "detail": _detail(known, kind),
        "code": known.code,
        "request_id": request_id,
        "image": getattr(known, "image", None),
        "n_faces": getattr(known, "n_faces", None),
        "available": getattr(known, "available", None),
    }
    if isinstance(known, LowQuality):
        fields |= {"measure": known.measure, "value": known.value, "limit": known.limit}
    if isinstance(known, FaceCovered):
        fields |= {"part": known.part}
    if isinstance(known, EnrolmentRefused):
        fields |= {"refusals": [asdict(each) for each in known.refusals]}
    if isinstance(known, ClaimUnavailable):
        fields |= {"largest_n": known.largest, "strictest_fpir": known.strictest}
    # Keys without a value stay unset, and unset keys are not sent.
    return Problem.model_validate({key: value for key, value in fields.items() if value is not None})


class ProblemResponse(Response):
    """The answer to an error; leaves its code in the request's state, for logs and metrics."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None) -> None:
        super().__init__(problem.model_dump_json(exclude_unset=True), problem.status, headers)
        self._code = problem.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        scope.setdefault("state", {})["problem_code"] = self._code
        await super().__call__(scope, receive, send)


def problem_response(error: Exception, request_id: str) -> Response:
    """Build the response for an error."""
    problem = problem_of(error, request_id)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if problem.status == UNAVAILABLE else {}
    return ProblemResponse(problem, headers | (error.headers if isinstance(error, ServiceError) else {}))


def _detail(error: VisavisError | ServiceError, kind: ProblemType) -> str:
    # The message of a failure may name a file, so only the log has it.
    return f"{kind.cause} {kind.remedy}" if kind.status == FAILED else str(error)


def install_exception_handlers(app: FastAPI) -> None:
    """Let the app answer every expected error with a problem; RequestContextMiddleware answers all others."""

    async def store_failed(request: Request, error: Exception) -> Response:
        log.error("the store of galleries failed id=%s: %s", request.state.request_id, error)  # it names nobody
        return await known(request, error)

    async def known(request: Request, error: Exception) -> Response:
        if problem_of(error).status == FAILED:
            raise error  # a failure of the service: the middleware logs and answers it
        return problem_response(error, request.state.request_id)

    async def framework(request: Request, error: Exception) -> Response:
        return await known(request, _refusal(app, request, error))

    app.add_exception_handler(VisavisError, known)
    app.add_exception_handler(StoreUnavailable, store_failed)
    app.add_exception_handler(ServiceError, known)
    app.add_exception_handler(MemoryError, known)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, framework)


def _refusal(app: FastAPI, request: Request, error: Exception) -> ServiceError:
    if not isinstance(error, HTTPException):
        return MalformedRequest("the address has a value that this route does not accept; see /docs")
    if error.status_code == NOT_FOUND:
        return NotFound(_no_such_address(app, request.url.path))
    if error.status_code == METHOD_NOT_ALLOWED:
        return MethodNotAllowed(_allowed(app, request, (error.headers or {}).get("Allow", "")))
    if error.status_code >= FAILED:
        return InternalError()
    return MalformedRequest("the service cannot accept this request; see /docs for the list of routes")


def _allowed(app: FastAPI, request: Request, of_one_route: str) -> str:
    """Return the methods of an address, of which each may have a route of its own."""
    path = getattr(request.scope.get("route"), "path", None)
    methods = [each.upper() for each in app.openapi()["paths"].get(path, {})] or [of_one_route]
    return ", ".join(methods).replace("GET", "GET, HEAD")  # RequestContextMiddleware serves HEAD


def _no_such_address(app: FastAPI, path: str) -> str:
    known = list(app.openapi()["paths"])
    short = path[:LONGEST_PATH].rstrip("/")
    near = [match for form in (short, f"/v1{short}") for match in get_close_matches(form, known, n=1, cutoff=NEAR)]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"this address does not exist; {hint}see /docs for the list of routes"
