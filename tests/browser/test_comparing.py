"""Two photos and a verdict, in every way that the page can be used."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from visit import Visit, opened, tab_to, watched

from embedder import FaceEmbedder

Photo = Callable[[str], Path]
DROP = """([side, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
    const place = document.getElementById(side);
    place.dispatchEvent(new DragEvent("dragover", { dataTransfer: dropped, bubbles: true, cancelable: true }));
    place.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""

KEYS_OF_BOTH = """async () => {
    const gaps = (text) => [...text.matchAll(/\\{\\w+\\}/g)].map(String).sort();
    const keys = (words) => Object.entries(words).flatMap(([key, value]) =>
        typeof value === "string" ? [key + gaps(value)] : keys(value).map((each) => `${key}.${each}`));
    const { english } = await import("/page/english.js"), { chinese } = await import("/page/chinese.js");
    return [keys(english).sort(), keys(chinese).sort()];
}"""


def drop(page: Page, side: str, path: Path) -> None:
    page.evaluate(DROP, [side, base64.b64encode(path.read_bytes()).decode()])


def shown_distance(page: Page) -> float:
    return float(page.inner_text(".figures div:nth-child(2) strong"))


def test_two_dropped_photos_of_one_person_are_judged_as_the_embedder_judges_them(
    page: Page, visit: Visit, photo: Photo, embedder: FaceEmbedder
) -> None:
    pair = photo("001-neutral"), photo("001-smiling")
    drop(page, "probe", pair[0])
    drop(page, "reference", pair[1])
    assert visit.verdict() == "Same person"
    judged = embedder.verify(*(path.read_bytes() for path in pair))
    assert shown_distance(page) == pytest.approx(judged.distance, abs=6e-4)
    assert f"{judged.threshold:.3f}" in page.inner_text("#verdict")


def test_two_people_are_told_apart(visit: Visit, photo: Photo) -> None:
    assert visit.compare(photo("001-neutral"), photo("005-neutral")) == "Different people"


def test_a_note_of_the_answer_is_shown_with_the_verdict(page: Page, visit: Visit, photo: Photo) -> None:
    visit.compare(photo("001-neutral"), photo("001-neutral"))
    assert "the same face in it: the distance says nothing." in page.inner_text(".verdict-head [lang=en]")


def test_another_photo_takes_the_verdict_away_until_it_is_judged_anew(page: Page, visit: Visit, photo: Photo) -> None:
    assert visit.compare(photo("001-neutral"), photo("005-neutral")) == "Different people"
    visit.give("reference", photo("001-smiling"))
    page.wait_for_selector("#result", state="hidden")
    assert visit.verdict() == "Same person"


def test_the_verdict_follows_the_operating_point(
    page: Page, visit: Visit, photo: Photo, embedder: FaceEmbedder
) -> None:
    pair = photo("041-neutral"), photo("041-smiling")
    visit.compare(*pair)
    limits = []
    for name in ("fmr-1e-2", "fmr-1e-5"):
        page.locator(f"#point-{name}").check()
        judged = embedder.verify(*(path.read_bytes() for path in pair), operating_point=name)
        page.wait_for_selector(f"#verdict:has-text('{judged.threshold:.3f}')")
        assert visit.verdict() == ("Same person" if judged.same else "Different people")
        limits.append(float(page.locator(".limit line").get_attribute("x1") or "nan"))
    assert limits[1] < limits[0]


def test_the_scale_shows_this_pair_among_measured_ones(page: Page, visit: Visit, photo: Photo) -> None:
    visit.compare(photo("001-neutral"), photo("001-smiling"))
    assert page.locator(".hill").count() == 2
    assert page.locator(".other-point").count() == 4
    pair, limit = (float(page.locator(f"{of} line").get_attribute("x1") or "nan") for of in (".pair", ".limit"))
    assert pair < limit
    assert re.match(
        r"Scale: this pair at 0\.\d{3}, limit at 1\.\d{3}\. Same person\.",
        page.get_attribute(".scale", "aria-label") or "",
    )


def test_all_is_said_in_chinese_too_and_back(page: Page, visit: Visit, photo: Photo) -> None:
    visit.compare(photo("001-neutral"), photo("005-neutral"))
    page.click("#language")
    assert visit.verdict() == "不同的人"
    assert page.get_attribute("html", "lang") == "zh-CN"
    left = page.evaluate("document.body.innerText.match(/[A-Za-z]{3,} [a-z]{3,} [a-z]{3,}/g)")
    assert left in (None, ["the people of"])  # the name of the data is the card's own
    page.click("#language")
    assert visit.verdict() == "Different people"


def test_both_languages_say_the_same_things(page: Page) -> None:
    english, chinese = page.evaluate(KEYS_OF_BOTH)
    assert len(english) > 100
    assert english == chinese


def test_a_chinese_browser_is_greeted_in_chinese_and_dark_is_dark(browser: Browser, url: str) -> None:
    with watched(opened(browser, language="zh-CN", scheme="dark"), url) as page:
        assert page.inner_text("h1") == "两张照片\uff0c是同一个人吗\uff1f"
        assert brightness(page) < 50
        page.click("#theme")
        assert brightness(page) > 200


def brightness(page: Page) -> float:
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(float, re.findall(r"\d+", color)[:3])) / 3


def test_keys_alone_lead_to_the_verdict_another_point_and_what_mattered(page: Page, photo: Photo) -> None:
    page.on("filechooser", lambda _chooser: None)  # from now on, or a key may be quicker than who waits for it
    for side, name in (("probe", "001-neutral"), ("reference", "001-smiling")):
        tab_to(page, f"#{side} [data-key=pick]")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(photo(name))
        page.wait_for_selector(f"#{side} .note.good")
    assert page.inner_text("#verdict-words").strip() == "Same person"
    tab_to(page, "#point-fmr-1e-3")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#point-fmr-1e-4:checked:focus", state="attached")
    page.wait_for_selector(".points .fine:has-text('1 in 10,000')")
    tab_to(page, "[data-key=why]")
    page.keyboard.press("Space")
    page.wait_for_selector(".heat")
    tab_to(page, "#finger")
    before = page.inner_text("output")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("output") != before
    tab_to(page, "[data-key=open]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".maps-picture img")


def test_a_phone_shows_all_of_it_in_its_width(browser: Browser, url: str, photo: Photo) -> None:
    with watched(opened(browser, width=390), url) as page:
        visit = Visit(page)
        assert visit.compare(photo("001-neutral"), photo("001-smiling")) == "Same person"
        page.click("[data-key=open]")
        page.wait_for_selector(".maps-picture img")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        wide = "[...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > 390.5)"
        assert page.evaluate(f"{wide}.map((each) => each.outerHTML.slice(0, 80))") == []
