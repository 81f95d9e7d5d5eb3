"""The page in a real browser: the system's Chromium, the real service on a socket, and what every visit must keep."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_service import served
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from visit import Visit, opened, watched

from embedder import FaceEmbedder
from service.app import create_app
from service.settings import Settings

Start = Callable[..., Browser]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; without it nothing here can run, and in CI that is a failure."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        missing = "there is no Chromium to drive the page with: `make chromium` installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return str(found)


@pytest.fixture(scope="module")
def start(chromium: str) -> Iterator[Start]:
    """Start the browser with arguments. Ends after each file: meanwhile no other event loop can run in this thread."""
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        yield lambda *more: launch(executable_path=chromium, args=["--no-sandbox", *more])


@pytest.fixture(scope="module")
def browser(start: Start) -> Iterator[Browser]:
    with start() as browser:
        yield browser


@pytest.fixture(scope="session")
def url(embedder: FaceEmbedder) -> Iterator[str]:
    with served(create_app(Settings(), embedder)) as url:
        yield url


@pytest.fixture(scope="session")
def gallery_url(embedder: FaceEmbedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that keeps galleries."""
    file = tmp_path_factory.mktemp("galleries") / "gallery.db"
    with served(create_app(Settings(gallery=f"sqlite:///{file}"), embedder)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page, just opened, in English; what happens on it is watched."""
    with watched(opened(browser), url) as page:
        yield page


@pytest.fixture
def visit(page: Page) -> Visit:
    return Visit(page)


@pytest.fixture(scope="session")
def photo(examples: Path) -> Callable[[str], Path]:
    return lambda name: examples / f"{name}.jpg"


@pytest.fixture(scope="session")
def three_people(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people side by side, as large as each other."""
    faces = [Image.open(examples / f"{who}-neutral.jpg") for who in ("001", "041", "021")]
    together = Image.new("RGB", (sum(face.width for face in faces), faces[0].height))
    for k, face in enumerate(faces):
        together.paste(face, (k * face.width, 0))
    path = tmp_path_factory.mktemp("photos") / "three.jpg"
    together.save(path, quality=92)
    return path
