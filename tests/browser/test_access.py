"""axe-core finds nothing serious on the page, whatever it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import pytest
from axe_playwright_python.sync_playwright import Axe
from gallery_visit import GalleryVisit
from playwright.sync_api import Browser, Page
from visit import Visit, opened, watched

Photo = Callable[[str], Path]


class Look(TypedDict):
    """How a visitor sees the page."""

    width: int
    language: str
    scheme: str


SERIOUS = ("serious", "critical")


def faults(page: Page) -> list[str]:
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    ("width", "language", "scheme"), [(1280, "en", "light"), (1280, "zh-CN", "dark"), (390, "en", "dark")]
)
def test_nobody_is_kept_out(browser: Browser, url: str, photo: Photo, width: int, language: str, scheme: str) -> None:
    with watched(opened(browser, width=width, language=language, scheme=scheme), url) as page:
        Visit(page).compare(photo("001-neutral"), photo("005-neutral"))
        page.click("[data-key=why]")
        page.wait_for_selector(".heat")
        page.click("[data-key=open]")
        page.wait_for_selector(".maps-picture img")
        assert faults(page) == []


def test_nobody_is_kept_out_at_the_start_of_choosing_a_face_nor_of_an_error(
    page: Page, visit: Visit, three_people: Path, tmp_path: Path
) -> None:
    assert faults(page) == []
    visit.give("probe", three_people)
    visit.note("probe", "ask")
    (tmp_path / "letter.jpg").write_text("dear reader", encoding="utf-8")
    visit.give("reference", tmp_path / "letter.jpg")
    page.wait_for_selector(".trouble")
    assert faults(page) == []


@pytest.mark.parametrize(
    "look",
    [
        {"width": 1280, "language": "en", "scheme": "light"},
        {"width": 1280, "language": "zh-CN", "scheme": "dark"},
        {"width": 390, "language": "en", "scheme": "dark"},
    ],
    ids=lambda look: f"{look['width']}-{look['language']}",
)
def test_nobody_is_kept_out_of_the_gallery(
    browser: Browser, gallery_url: str, photo: Photo, three_people: Path, look: Look
) -> None:
    with watched(opened(browser, **look), gallery_url) as page:
        visit = GalleryVisit(page)
        visit.open_tab()
        assert faults(page) == []
        visit.begin()
        visit.enrol("041", photo("041-neutral"), photo("041-smiling"))
        visit.identify(three_people)
        page.click("[data-key=face-1]")
        visit.look_at("041")
        visit.ask_to_enrol("Bo", photo("041-neutral"))
        visit.refusals()
        assert faults(page) == []
        page.click("details[open] .templates li:nth-child(1) button")
        assert faults(page) == []
        page.click("[data-key=confirm]")
        page.wait_for_selector(".receipt")
        assert faults(page) == []
