"""Errors raised anywhere in a route -> the problem that answers them; the framework's own become refusals first."""

from difflib import get_close_matches

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from embedder import VisavisError

from .errors import InternalError, MalformedRequest, MethodNotAllowed, NotFound, RequestRefused
from .problems import problem_of, problem_response

NEAR = 0.8  # how alike two addresses are, 0 to 1, for one to be taken for a slip of the other
LONGEST_PATH = 100
METHOD_NOT_ALLOWED, NOT_FOUND, FAILED = 405, 404, 500


def install_exception_handlers(app: FastAPI) -> None:
    """Let the app answer every foreseen error with a problem; the unforeseen are the envelope's."""

    async def known(request: Request, error: Exception) -> Response:
        if problem_of(error).status == FAILED:
            raise error  # a failure of ours, foreseen or not: the envelope logs it and answers
        return problem_response(error, request.state.request_id)

    async def framework(request: Request, error: Exception) -> Response:
        return await known(request, _refusal(app, request, error))

    app.add_exception_handler(VisavisError, known)
    app.add_exception_handler(RequestRefused, known)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, framework)


def _refusal(app: FastAPI, request: Request, error: Exception) -> RequestRefused:
    if not isinstance(error, HTTPException):
        return MalformedRequest("the address holds a value that this route does not take; see /docs")
    if error.status_code == NOT_FOUND:
        return NotFound(_no_such_address(app, request.url.path))
    if error.status_code == METHOD_NOT_ALLOWED:
        return MethodNotAllowed((error.headers or {}).get("Allow", ""))
    if error.status_code >= FAILED:
        return InternalError()
    return MalformedRequest("the request cannot be taken as it is; see /docs for what can be asked")


def _no_such_address(app: FastAPI, path: str) -> str:
    known = list(app.openapi()["paths"])
    asked = path[:LONGEST_PATH].rstrip("/")
    near = [match for form in (asked, f"/v1{asked}") for match in get_close_matches(form, known, n=1, cutoff=NEAR)]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no such address here; {hint}see /docs for those there are"
