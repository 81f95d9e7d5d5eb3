"""Pages for people: the API's documentation and the list of errors, from our own files; no script from elsewhere."""

from html import escape
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from ..problems import ERRORS_PAGE, TABLE
from ..refusals import NotFound

FOLDER = Path(__file__).parent.parent / "web" / "docs"
MEDIA_TYPES = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "SWAGGER-UI-LICENSE.txt": "text/plain",
}
DOCS_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",  # may be kept, but asked about: after an update the page fits the API
}


def router() -> APIRouter:
    """Join /, /docs with its files, and /errors."""
    routes = APIRouter(include_in_schema=False)
    errors_page = _errors_page()

    @routes.get("/")
    async def start() -> RedirectResponse:
        return RedirectResponse("/docs")

    @routes.get("/docs")
    async def docs() -> FileResponse:
        return FileResponse(FOLDER / "index.html", media_type="text/html", headers=DOCS_HEADERS)

    @routes.get("/docs/{name}")
    async def docs_file(name: str) -> FileResponse:
        if name not in MEDIA_TYPES:
            raise NotFound("there is no such file; the documentation is at /docs")
        return FileResponse(FOLDER / name, media_type=MEDIA_TYPES[name], headers=DOCS_HEADERS)

    @routes.get(ERRORS_PAGE)
    async def errors() -> HTMLResponse:
        return HTMLResponse(errors_page)

    return routes


def _errors_page() -> str:
    entries = "".join(
        f'<dt id="{error.code}"><code>{error.code}</code> &middot; {kind.status} {escape(kind.title)}</dt>'
        f"<dd><p>{escape(kind.cause)}</p><p>{escape(kind.remedy)}</p></dd>"
        for error, kind in TABLE.items()
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>visavis: errors</title><h1>Errors</h1>'
    return f"{head}<p>The <code>code</code> of a problem, why it is given, and what helps.</p><dl>{entries}</dl></html>"
