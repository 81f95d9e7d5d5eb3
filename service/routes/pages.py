"""HTML pages: the start page, the API documentation and the list of errors, all from local files."""

from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from ..errors import NotFound
from ..problems import ERRORS_PAGE, TABLE

WEB = Path(__file__).parent.parent / "web"
START, DOCS = WEB / "page", WEB / "docs"
MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",  # cached but revalidated, so that after an update the page matches the API
}


def router() -> APIRouter:
    """Return the router of / and /docs, each with its files, /openapi.json and /errors."""
    routes = APIRouter(include_in_schema=False)
    names = {folder: frozenset(files_of(folder)) for folder in (START, DOCS)}

    def named(folder: Path, name: str, *, page: str) -> FileResponse:
        if name not in names[folder]:
            raise NotFound(f"this file does not exist; {page}")
        return _file(folder, name)

    @routes.get("/")
    async def start() -> FileResponse:
        return _file(START, "index.html")

    @routes.get("/page/{name}")
    async def start_file(name: str) -> FileResponse:
        return named(START, name, page="the page is at /")

    @routes.get("/docs")
    async def docs() -> FileResponse:
        return _file(DOCS, "index.html")

    @routes.get("/docs/{name}")
    async def docs_file(name: str) -> FileResponse:
        return named(DOCS, name, page="the documentation is at /docs")

    _join_descriptions(routes)
    return routes


def _join_descriptions(routes: APIRouter) -> None:
    errors_page = _errors_page()

    @routes.get("/openapi.json")
    async def description(request: Request) -> JSONResponse:
        app: FastAPI = request.app
        return JSONResponse(app.openapi())

    @routes.get(ERRORS_PAGE)
    async def errors() -> HTMLResponse:
        return HTMLResponse(errors_page)


def files_of(folder: Path) -> list[str]:
    """Return the names of a page's files, without index.html."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in MEDIA_TYPES and path.name != "index.html")


def _file(folder: Path, name: str) -> FileResponse:
    path = folder / name
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=HEADERS)


def _errors_page() -> str:
    entries = "".join(
        f'<dt id="{error.code}"><code>{error.code}</code> &middot; {kind.status} {escape(kind.title)}</dt>'
        f"<dd><p>{escape(kind.cause)}</p><p>{escape(kind.remedy)}</p></dd>"
        for error, kind in TABLE.items()
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>visavis: errors</title><h1>Errors</h1>'
    return f"{head}<p>The <code>code</code> of a problem, its cause and the remedy.</p><dl>{entries}</dl></html>"
