"""A visit to the page: what a person does there, and what must hold whatever they do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

PATIENCE_MS = 30_000
MOST_TABS = 60
REFUSED = "Failed to load resource"  # what the browser notes of every answer that is not 200
WITHIN = ("blob", "data")  # addresses that lead nowhere


def opened(browser: Browser, *, width: int = 1280, language: str = "en", scheme: str = "light") -> BrowserContext:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        locale=language,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    return context


@contextmanager
def watched(context: BrowserContext, url: str) -> Iterator[Page]:
    """Open the page; at the end no request may have left the origin, and nothing may have failed or been stored."""
    requests: list[Request] = []
    faults: list[str] = []
    context.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright marks what it is given
    page = context.new_page()
    page.on("console", lambda message: note(message, faults))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(url)
    page.wait_for_selector("#model:not(:empty)")
    yield page
    elsewhere = [each.url for each in requests if not stays(each.url, url)]
    stored = page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]")
    databases = page.evaluate("indexedDB.databases().then((found) => found.length)")
    context.close()
    assert len(requests) > 10
    assert (elsewhere, faults) == ([], [])
    assert (stored, databases) == (["", 0, 0], 0)


def note(message: ConsoleMessage, faults: list[str]) -> None:
    if message.type in ("error", "warning") and not message.text.startswith(REFUSED):
        faults.append(message.text)


def stays(address: str, url: str) -> bool:
    return urlsplit(address).scheme in WITHIN or address.startswith(f"{url}/")


def until(page: Page, script: str, argument: object = None) -> None:
    """Wait until a script says true. The page's own policy forbids Playwright's way, which evaluates text in it."""
    deadline = monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(script, argument):
        if monotonic() > deadline:
            raise TimeoutError(script)
        page.wait_for_timeout(20)


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(MOST_TABS):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no way to {selector} by the Tab key")


class Visit:
    """Someone on the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def give(self, side: str, path: Path) -> None:
        """Pick a file in the window that the place's button opens."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click(f"#{side} [data-key=pick]")
        chooser.value.set_files(path)

    def compare(self, probe: Path, reference: Path) -> str:
        """Give two photos, and wait for the verdict."""
        self.give("probe", probe)
        self.give("reference", reference)
        return self.verdict()

    def verdict(self) -> str:
        self.page.wait_for_selector("#verdict-words")
        return self.page.inner_text("#verdict-words").strip()

    def note(self, side: str, kind: str) -> str:
        """What is said below a photo, once it is of that kind: good, ask or bad."""
        return self.page.inner_text(f"#{side} .note.{kind}")
