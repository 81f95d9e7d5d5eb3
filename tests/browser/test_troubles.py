"""What cannot be compared is told, with a way forward."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from live_service import served
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page
from visit import Visit, opened, watched

from embedder import FaceEmbedder, Limits, load
from embedder.detection.detector import LEAST_PX, SIDES_PX
from service.app import create_app
from service.settings import Settings

Photo = Callable[[str], Path]
PICTURE = Path(__file__).parents[2] / "service" / "web" / "page" / "picture.js"

IN_THE_MIDDLE = """(all) => all.findIndex(({ style }) =>
    Math.abs(parseFloat(style.top) + parseFloat(style.height) / 2 - 50) < 10)"""


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_photo_without_a_face_is_shown_with_what_was_looked_for(page: Page, visit: Visit, tmp_path: Path) -> None:
    visit.give("probe", saved(Image.new("RGB", (2000, 900), "#8a7f70"), tmp_path / "nobody.png"))
    assert "at least 75 px, as large as the square drawn on it, and for turned ones of at least 300 px" in visit.note(
        "probe", "bad"
    )
    square = page.locator("#probe .least")
    assert square.get_attribute("width") == "75"
    assert page.locator("#probe .searched").is_visible()


def test_the_smallest_face_is_the_one_that_the_detector_finds() -> None:
    stated = dict(re.findall(r"const (LEAST_PX|SIDES_PX) = (.+);", PICTURE.read_text(encoding="utf-8")))
    assert {name: json.loads(value) for name, value in stated.items()} == {
        "LEAST_PX": LEAST_PX,
        "SIDES_PX": list(SIDES_PX),
    }


@pytest.mark.parametrize(("face", "verdict"), [(0, "Different people"), (1, "Same person"), (2, "Different people")])
def test_of_several_faces_the_one_that_is_clicked_is_compared(
    page: Page, visit: Visit, three_people: Path, photo: Photo, face: int, verdict: str
) -> None:
    visit.give("probe", three_people)
    visit.give("reference", photo("041-smiling"))
    assert visit.note("probe", "ask") == "3 faces found: choose the one you mean."
    page.wait_for_selector("#status:has-text('framed in the First photo')")
    page.click(f"[data-key=face-{face}]")
    assert visit.verdict() == verdict
    assert page.get_attribute(f"[data-key=face-{face}]", "aria-pressed") == "true"


def test_several_faces_can_be_chosen_from_by_keys(page: Page, visit: Visit, three_people: Path, photo: Photo) -> None:
    visit.give("reference", photo("041-smiling"))
    visit.give("probe", three_people)
    page.focus("[data-key=face-0]")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert visit.verdict() == "Same person"
    assert page.evaluate("document.activeElement.dataset.key") == "face-1"


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_face_is_cut_out_right_of_a_photo_that_the_camera_turned(
    visit: Visit, page: Page, three_people: Path, photo: Photo, tmp_path: Path, orientation: int
) -> None:
    stored_as = {3: 180, 6: 90, 8: 270}[orientation]  # degrees counterclockwise
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.open(three_people).rotate(stored_as, expand=True)
    visit.give("probe", saved(turned, tmp_path / "turned.jpg", exif=exif, quality=92))
    visit.give("reference", photo("041-smiling"))
    page.click("[data-key=face-1]")
    assert visit.verdict() == "Same person"


def test_a_face_is_cut_out_upright_of_a_picture_that_lies(
    visit: Visit, page: Page, three_people: Path, photo: Photo, tmp_path: Path
) -> None:
    visit.give("probe", saved(Image.open(three_people).rotate(-90, expand=True), tmp_path / "lying.png"))
    visit.give("reference", photo("041-smiling"))
    visit.note("probe", "ask")
    middle = page.locator("#probe .face").evaluate_all(IN_THE_MIDDLE)
    page.click(f"[data-key=face-{middle}]")
    assert visit.verdict() == "Same person"


def test_a_photo_that_is_too_poor_is_refused_and_compared_on_demand(
    browser: Browser, penalty_embedder: FaceEmbedder, photo: Photo, tmp_path: Path
) -> None:
    with served(create_app(Settings(), penalty_embedder)) as url, watched(opened(browser), url) as page:
        visit = Visit(page)
        visit.give("probe", blurred(photo, tmp_path))
        visit.give("reference", photo("005-neutral"))
        assert "First photo: This photo is poorer than nearly all" in page.inner_text(".trouble")
        assert "sharpness is" in page.inner_text(".trouble q")
        page.click("[data-key=anyway]")
        assert visit.verdict() == "Different people"
        assert "Too poor to rely on: blurred" in page.inner_text("#faces")


def test_of_a_model_that_refuses_no_photo_a_blurred_one_is_told_to_be_blurred(
    browser: Browser, bare_embedder: FaceEmbedder, photo: Photo, tmp_path: Path
) -> None:
    with served(create_app(Settings(), bare_embedder)) as url, watched(opened(browser), url) as page:
        assert Visit(page).compare(blurred(photo, tmp_path), photo("005-neutral")) == "Different people"
        assert "Photo: blurred" in page.inner_text("#faces")


def blurred(photo: Photo, folder: Path) -> Path:
    return saved(Image.open(photo("001-smiling")).filter(ImageFilter.GaussianBlur(14)), folder / "blurred.png")


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page, visit: Visit, tmp_path: Path) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("dear reader", encoding="utf-8")
    visit.give("probe", text)
    assert "not a picture that can be read" in page.inner_text(".trouble")
    page.click("#language")
    assert "不是可以读取的图片" in page.inner_text(".trouble")


def test_a_picture_that_is_too_large_is_refused_in_words(browser: Browser, photo: Photo) -> None:
    small = create_app(Settings(max_image_bytes=1000), load(limits=Limits(max_bytes=1000)))
    with served(small) as url, watched(opened(browser), url) as page:
        Visit(page).give("probe", photo("001-neutral"))
        page.wait_for_selector(".trouble")
        assert "smaller" in page.inner_text(".trouble p")
        assert "1,000" in page.inner_text(".trouble q") or "bytes" in page.inner_text(".trouble q")


def test_a_busy_server_is_asked_again_until_it_answers(browser: Browser, embedder: FaceEmbedder, photo: Photo) -> None:
    app = create_app(Settings(max_concurrent=1, max_waiting=0), embedder)
    with served(app) as url, watched(opened(browser), url) as page:
        visit = Visit(page)
        visit.give("probe", photo("001-neutral"))
        visit.note("probe", "good")
        with taken_place(url):
            visit.give("reference", photo("001-smiling"))
            page.wait_for_selector("#status:has-text('busy')")
        assert visit.verdict() == "Same person"


@contextmanager
def taken_place(url: str) -> Iterator[None]:
    """Hold the one place that the service has: a request whose body does not come."""
    address = urlsplit(url)
    head = "POST /v1/faces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode())
        yield


def test_a_server_that_is_gone_is_told_and_can_be_asked_again(page: Page, visit: Visit, photo: Photo) -> None:
    page.route("**/v1/faces", lambda route: route.abort())
    visit.give("probe", photo("001-neutral"))
    assert "cannot be reached" in page.inner_text(".trouble")
    page.unroute("**/v1/faces")
    page.click("[data-key=again]")
    assert visit.note("probe", "good") == "One face found."
    assert page.locator(".trouble").count() == 0
