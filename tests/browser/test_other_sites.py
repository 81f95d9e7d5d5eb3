"""What pages of other sites reach of a service on this machine, by a real browser; the page where keys are needed."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from live_service import served
from playwright.sync_api import Browser, Page
from visit import PATIENCE_MS, Visit, opened, until

from embedder import FaceEmbedder
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.settings import Settings

REBOUND = "--host-resolver-rules=MAP evil.test 127.0.0.1"  # as if evil.test had changed its address in the DNS

POST = """async ([url, mode]) => {
    const form = new FormData();
    form.append("image", new Blob([new Uint8Array(1000)]), "a.jpg");
    try { return (await fetch(url + "/v1/faces", {method: "POST", body: form, mode})).type; }
    catch { return "failed"; }
}"""


PICTURE = """(url) => new Promise((done) => {
    const picture = new Image();
    picture.onerror = done;
    picture.src = url;
})"""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def another_site(folder: Path) -> Iterator[str]:
    """A page on another port of this machine; gives the port."""
    (folder / "index.html").write_text("<!doctype html><title>elsewhere</title>", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield str(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def open_url(embedder: FaceEmbedder) -> Iterator[str]:
    """A service that needs no key, and has no other names."""
    with served(create_app(Settings(hosts=()), embedder)) as url:
        yield url


@pytest.fixture(scope="module")
def rebound(start: object) -> Iterator[Browser]:
    with start(REBOUND) as browser:
        yield browser


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Method, route and status of the service's lines."""
    lines = [record.getMessage() for record in caplog.records if record.name == "visavis.access"]
    return [re.sub(r" \d+ ms .*", "", line) for line in lines]


def test_a_page_that_rebinds_its_name_reads_nothing(rebound: Browser, open_url: str) -> None:
    page = opened(rebound).new_page()
    for path in ("/", "/v1/model", "/v1/embeddings", "/page/main.js", "/healthz"):
        answer = page.goto(f"http://evil.test:{urlsplit(open_url).port}{path}")
        assert answer is not None
        assert (answer.status, answer.json()["code"]) == (421, "unknown_host")
    page.context.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.test"])
def test_a_page_elsewhere_makes_nothing_compute(
    host: str, rebound: Browser, open_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with another_site(tmp_path) as port:
        page = opened(rebound).new_page()
        page.goto(f"http://{host}:{port}/")
        assert [page.evaluate(POST, [open_url, mode]) for mode in ("cors", "no-cors")] == ["failed", "failed"]
        sent = page.evaluate("(url) => navigator.sendBeacon(url + '/v1/verify', 'text')", open_url)
        assert sent
        submit_form(page, open_url)
        page.evaluate(PICTURE, f"{open_url}/v1/layers")
        page.context.close()
    lines = logged(caplog)
    assert "POST (no route) 403" in lines
    assert "GET (no route) 403" in lines
    assert {line for line in lines if not line.endswith(" 403")} == set()


def submit_form(page: Page, url: str) -> None:
    """Submit a form to the service into a frame, as a page can without any script that CORS would stop."""
    page.evaluate(
        """(url) => { document.body.innerHTML = `<iframe name=f></iframe><form method=post target=f
            enctype="multipart/form-data" action="${url}/v1/faces"><input name=image value=x></form>`;
            document.forms[0].submit(); }""",
        url,
    )
    page.wait_for_timeout(500)


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ("A key is needed", "This key is not valid")), ("zh-CN", ("需要密钥", "此密钥无效"))],
)
def test_the_page_asks_for_a_key_and_forgets_it(
    language: str, words: tuple[str, str], browser: Browser, embedder: FaceEmbedder, examples: Path, tmp_path: Path
) -> None:
    needed, wrong = words
    file = KeyFile(tmp_path / "keys.json")
    made = file.create(KeyGrant("page", ("verify", "explain")))
    with served(create_app(Settings(keys=str(file.path)), embedder)) as url:
        page = opened(browser, language=language).new_page()
        page.goto(url)
        page.wait_for_selector(f".trouble:has-text('{needed}')")
        visit = Visit(page)
        for side, photo in (
            ("probe", "001-neutral"),
            ("reference", "001-smiling"),
        ):  # both are looked at once a key is there
            visit.give(side, examples / f"{photo}.jpg")
            page.wait_for_selector(f".trouble:has-text('{needed}')")
        for key in ("wrong", made.text):
            page.fill("[data-key=key]", key)
            page.press("[data-key=key]", "Enter")
            if key == "wrong":
                page.wait_for_selector(f".trouble:has-text('{wrong}')")
        assert visit.verdict()
        assert page.locator(".trouble").count() == 0
        assert page.inner_text("#model")
        assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
        page.reload()
        page.wait_for_selector(".trouble", timeout=PATIENCE_MS)
        until(page, "() => document.querySelector('[data-key=key]').value === ''")
        page.context.close()


def test_another_key_can_be_given_where_one_lacks_a_scope(
    browser: Browser, embedder: FaceEmbedder, examples: Path, tmp_path: Path
) -> None:
    file = KeyFile(tmp_path / "keys.json")
    keys = [file.create(KeyGrant("page", scopes)).text for scopes in (("verify",), ("verify", "explain"))]
    with served(create_app(Settings(keys=str(file.path)), embedder)) as url:
        page = opened(browser).new_page()
        page.goto(url)
        page.fill("[data-key=key]", keys[0])
        page.click("[data-key=again]")
        page.wait_for_selector("#model:not(:empty)")
        visit = Visit(page)
        visit.give("probe", examples / "001-neutral.jpg")
        visit.give("reference", examples / "001-smiling.jpg")
        assert "explain" in page.inner_text(".trouble q")
        page.fill("[data-key=key]", keys[1])
        page.click("[data-key=again]")
        assert visit.verdict() == "Same person"
        page.context.close()
