"""Draw the pictures of the page: two example photos compared, and one identified in a gallery, in Chromium.

Usage: python tools/draw_page.py. Writes docs/pictures/page.png and gallery.png. It needs the system's Chromium, as
tests/browser does.
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, sync_playwright

from embedder import load
from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

from live_service import served  # noqa: E402 - it is in benchmarks

FACES = ROOT / "examples" / "faces"
PHOTOS = {"probe": "001-neutral.jpg", "reference": "001-smiling.jpg"}
WIDTH_PX, HEIGHT_PX = 1280, 1990  # down to the places that mattered
ENROLLED = {"Anna": "001", "Bo": "005", "Chen": "021"}
PROBE = "001-smiling.jpg"
PICTURES = ROOT / "docs" / "pictures"


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no Chromium: `make chromium` installs it")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with served(create_app(Settings(gallery=f"sqlite:///{folder}/gallery.db"), load())) as url:
            page = browser.new_page(viewport={"width": WIDTH_PX, "height": 900}, locale="en", color_scheme="light")
            page.goto(url)
            compare(page)
            clip = {"x": 0, "y": 0, "width": WIDTH_PX, "height": HEIGHT_PX}
            page.screenshot(path=PICTURES / "page.png", full_page=True, clip=clip)
            identify(page)
            page.screenshot(path=PICTURES / "gallery.png", full_page=True)
        browser.close()


def compare(page: Page) -> None:
    for side, name in PHOTOS.items():
        page.set_input_files(f"#{side}-file", FACES / name)
    page.wait_for_selector("#verdict-words")
    page.click("[data-key=why]")
    page.wait_for_selector(".heat")
    page.click("[data-key=open]")
    page.wait_for_selector(".maps-picture img")


def identify(page: Page) -> None:
    page.click("#tabs a[href='#gallery']")
    page.fill("#gallery-name", "staff")
    page.click("[data-key=open-gallery]")
    page.click("[data-key=create]")
    for n_enrolled, (person, face) in enumerate(ENROLLED.items(), start=1):
        page.fill("#enrol-person", person)
        choose(page, ".enrolment [data-key=pick]", f"{face}-neutral.jpg")
        page.wait_for_selector(".thumbs li")
        page.click("[data-key=enrol]")
        page.wait_for_selector(f".people li:nth-child({n_enrolled}) summary")
    choose(page, "#probe-photo [data-key=pick]", PROBE)
    page.wait_for_selector(".found-face h3")


def choose(page: Page, button: str, name: str) -> None:
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(FACES / name)


if __name__ == "__main__":
    main()
