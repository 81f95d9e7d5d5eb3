"""Draw the README's picture of the page: two example photos compared by the running service, in Chromium.

Usage: python tools/draw_page.py. Writes docs/pictures/page.png; it needs the system's Chromium, as tests/browser does.
"""

import shutil
import sys
from pathlib import Path

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
PICTURE = ROOT / "docs" / "pictures" / "page.png"


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no Chromium: `make chromium` installs it")
    with served(create_app(Settings(), load())) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": 900}, locale="en", color_scheme="light")
        page.goto(url)
        compare(page)
        page.screenshot(path=PICTURE, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH_PX, "height": HEIGHT_PX})
        browser.close()


def compare(page: Page) -> None:
    for side, name in PHOTOS.items():
        page.set_input_files(f"#{side}-file", FACES / name)
    page.wait_for_selector("#verdict-words")
    page.click("[data-key=why]")
    page.wait_for_selector(".heat")
    page.click("[data-key=open]")
    page.wait_for_selector(".maps-picture img")


if __name__ == "__main__":
    main()
