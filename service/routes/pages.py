"""HTML pages: the start page, the API documentation and the list of errors, all from local files.

They are read once, at the start; a browser that has a page already gets 304.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from hashlib import sha256
from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response

from ..errors import NotFound
from ..problem_types import TABLE
from ..problems import ERRORS_PAGE

WEB = Path(__file__).parent.parent / "web"
START, DOCS = WEB / "page", WEB / "docs"
INDEX = "index.html"
GALLERIES_OFF, GALLERIES_ON = b'data-galleries="off"', b'data-galleries="on"'  # in the start page
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
KEPT = {"Cache-Control": "no-cache"}  # cached but revalidated, so that after an update the page matches the API
HEADERS = KEPT | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True)
class Document:
    """Bytes that are the same for every caller, with their entity tag."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]

    @cached_property
    def tag(self) -> str:
        """The ETag, which names the content."""
        return f'"{sha256(self.content).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        """Return the content, or 304 if the caller has it already."""
        headers = {**self.headers, "ETag": self.tag}
        had = ",".join(request.headers.getlist("if-none-match"))
        if self.tag in [each.strip().removeprefix("W/") for each in had.split(",")] or had.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def router(*, has_galleries: bool) -> APIRouter:
    """Return the router of / and /docs, each with its files, /openapi.json and /errors.

    With `has_galleries` the start page shows the tab of galleries.
    """
    routes = APIRouter(include_in_schema=False)
    documents = {folder: _documents(folder) for folder in (START, DOCS)}
    if has_galleries:
        documents[START][INDEX] = _with_galleries(documents[START][INDEX])

    def named(request: Request, folder: Path, name: str, *, page: str) -> Response:
        if name not in documents[folder] or name == INDEX:
            raise NotFound(f"this file does not exist; {page}")
        return documents[folder][name].answer(request)

    @routes.get("/")
    async def start(request: Request) -> Response:
        return documents[START][INDEX].answer(request)

    @routes.get("/page/{name}")
    async def start_file(request: Request, name: str) -> Response:
        return named(request, START, name, page="the page is at /")

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        return documents[DOCS][INDEX].answer(request)

    @routes.get("/docs/{name}")
    async def docs_file(request: Request, name: str) -> Response:
        return named(request, DOCS, name, page="the documentation is at /docs")

    _join_descriptions(routes)
    return routes


def _join_descriptions(routes: APIRouter) -> None:
    errors_page = Document(_errors_page().encode(), "text/html", KEPT)

    @cache
    def described(app: FastAPI) -> Document:
        text = json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":"))
        return Document(text.encode(), "application/json", KEPT)

    @routes.get("/openapi.json")
    async def description(request: Request) -> Response:
        return described(request.app).answer(request)

    @routes.get(ERRORS_PAGE)
    async def errors(request: Request) -> Response:
        return errors_page.answer(request)


def files_of(folder: Path) -> list[str]:
    """Return the names of a page's files, without index.html."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in MEDIA_TYPES and path.name != INDEX)


def _documents(folder: Path) -> dict[str, Document]:
    paths = [folder / name for name in (INDEX, *files_of(folder))]
    return {path.name: Document(path.read_bytes(), MEDIA_TYPES[path.suffix], HEADERS) for path in paths}


def _with_galleries(start: Document) -> Document:
    return replace(start, content=start.content.replace(GALLERIES_OFF, GALLERIES_ON))


def _errors_page() -> str:
    entries = "".join(
        f'<dt id="{error.code}"><code>{error.code}</code> &middot; {kind.status} {escape(kind.title)}</dt>'
        f"<dd><p>{escape(kind.cause)}</p><p>{escape(kind.remedy)}</p></dd>"
        for error, kind in TABLE.items()
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>visavis: errors</title><h1>Errors</h1>'
    return f"{head}<p>The <code>code</code> of a problem, its cause and the remedy.</p><dl>{entries}</dl></html>"
