"""A photo from the camera; Chromium plays a photograph as if a camera saw it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gallery_visit import GalleryVisit
from playwright.sync_api import Browser, Page
from visit import Visit, opened, until, watched

Photo = Callable[[str], Path]
NOTE_THE_STREAM = """() => {
    const get = MediaDevices.prototype.getUserMedia;
    MediaDevices.prototype.getUserMedia = async function (...of) { return (window.seen = await get.apply(this, of)); };
}"""


@pytest.fixture
def before_a_camera(start: Callable[..., Browser], photo: Photo, tmp_path: Path) -> Iterator[Browser]:
    film = tmp_path / "film.mjpeg"
    film.write_bytes(photo("001-neutral").read_bytes())
    seen = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with start(*seen, f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


def test_a_photo_from_the_camera_is_compared_as_any_other(before_a_camera: Browser, url: str, photo: Photo) -> None:
    with watched(opened(before_a_camera), url) as page:
        visit = Visit(page)
        visit.give("reference", photo("001-smiling"))
        page.click("#probe [data-key=camera]")
        page.click(".camera .main:enabled")
        assert visit.verdict() == "Same person"
        assert page.locator("dialog").count() == 0


def test_a_person_is_enrolled_and_identified_by_the_camera(
    before_a_camera: Browser, gallery_url: str, photo: Photo
) -> None:
    with watched(opened(before_a_camera), gallery_url) as page:
        visit = GalleryVisit(page)
        visit.begin()
        page.fill("#enrol-person", "Anna")
        page.click(".enrolment [data-key=camera]")
        page.click(".camera .main:enabled")
        page.wait_for_selector(".thumbs li")
        page.click("[data-key=enrol]")
        visit.enrolled()
        assert visit.identify(photo("001-smiling")) == ["Anna"]
        page.click("#probe-photo [data-key=camera]")
        page.click(".camera .main:enabled")
        page.wait_for_selector("#probe-photo .box")
        assert visit.identified() == ["Anna"]


def test_the_camera_is_off_once_its_window_is_closed(before_a_camera: Browser, url: str) -> None:
    with watched(opened(before_a_camera), url) as page:
        page.evaluate(NOTE_THE_STREAM)
        page.click("#probe [data-key=camera]")
        page.wait_for_selector(".camera .main:enabled")
        page.keyboard.press("Escape")
        until(page, "() => window.seen.getTracks().every((track) => track.readyState === 'ended')")
        assert page.locator("dialog").count() == 0
        assert page.locator("#probe .invitation").is_visible()


def test_without_a_camera_the_page_says_so(page: Page) -> None:
    page.click("#probe [data-key=camera]")
    assert "The camera cannot be used" in page.inner_text("#probe .note.bad")
