"""The gallery's tab: people are enrolled, identified and forgotten, in every way that the page can be used."""

import base64
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from gallery_visit import TAB, GalleryVisit
from PIL import Image
from playwright.sync_api import Browser, Page
from visit import opened, tab_to, until, watched

from service.wire import MAX_IMAGES

Photo = Callable[[str], Path]
SCRIPT = Path(__file__).parents[2] / "service" / "web" / "page" / "enrolment.js"
NOTHING_TO_COMPARE_WITH = "There is no template in this gallery to compare the face with."
GIVE = """([kind, selector, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const given = new DataTransfer();
    given.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
    const place = document.querySelector(selector);
    const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: given, bubbles: true, cancelable: true });
    place.dispatchEvent(event);
}"""


def give(page: Page, kind: str, selector: str, path: Path) -> None:
    page.evaluate(GIVE, [kind, selector, base64.b64encode(path.read_bytes()).decode()])


@pytest.fixture
def gallery_page(browser: Browser, gallery_url: str) -> Iterator[Page]:
    with watched(opened(browser), gallery_url) as page:
        yield page


@pytest.fixture
def visit(gallery_page: Page) -> GalleryVisit:
    visit = GalleryVisit(gallery_page)
    visit.begin()
    return visit


@pytest.fixture
def stored(gallery_url: str, visit: GalleryVisit) -> Iterator[httpx2.Client]:
    """The gallery as the API answers about it."""
    address = f"{gallery_url}/v1/galleries/{quote(visit.name)}"
    with httpx2.Client(base_url=address, timeout=60) as client:
        yield client


def test_an_enrolled_person_is_named_and_a_stranger_is_not(
    visit: GalleryVisit, photo: Photo, stored: httpx2.Client
) -> None:
    assert visit.enrol("Anna", photo("001-neutral")) == (
        "Anna is enrolled. New templates: 1. Photos that were there already: 0."
    )
    visit.enrol("Bo", photo("005-neutral"))
    assert visit.people() == ["Anna Templates: 1", "Bo Templates: 1"]
    assert visit.identify(photo("001-smiling")) == ["Anna"]
    answer = stored.post("/identify", files={"probe": photo("001-smiling").read_bytes()}).json()["faces"][0]
    shown = [each.split("\t") for each in visit.page.inner_text(".candidates tbody").splitlines()]
    assert [row[:2] for row in shown] == [["Anna", "match"], ["Bo", "no match"]]
    for row, candidate in zip(shown, answer["candidates"], strict=True):
        sign = "<" if candidate["match"] else "≥"
        assert row[3] == f"{candidate['normalized_distance']:.3f} {sign} {answer['claim']['threshold']:.3f}"
    assert visit.identify(photo("041-neutral")) == ["Nobody in this gallery"]


def test_what_is_claimed_is_said_in_words_and_follows_the_choice(visit: GalleryVisit, photo: Photo) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.identify(photo("001-smiling"))
    words = "Compared with the gallery's templates: 1. Of 1,000 photos of strangers at most 10 are named."
    assert visit.page.inner_text(".claim") == words
    loose = visit.page.inner_text(".candidates")
    visit.page.locator("[id='fpir-0.001']").check()
    visit.page.wait_for_selector(".claim:has-text('at most 1 is named')")
    visit.identified()
    assert visit.page.inner_text(".candidates") != loose
    assert "0.1% by the model's measurements (95% interval" in visit.page.inner_text(".identified")


def test_every_face_of_a_photo_has_a_box_and_its_own_candidates(
    visit: GalleryVisit, photo: Photo, three_people: Path
) -> None:
    visit.enrol("Bo", photo("041-smiling"))
    assert visit.identify(three_people) == [
        "Face 1: Nobody in this gallery",
        "Face 2: Bo",
        "Face 3: Nobody in this gallery",
    ]
    assert visit.page.locator("#probe-photo .face").count() == 3
    assert visit.page.locator(".found-face .candidates tbody tr").count() == 3
    visit.page.click("[data-key=face-1]")
    assert visit.page.inner_text(".found-face.chosen h3") == "Face 2: Bo"


def test_an_empty_gallery_names_nobody(visit: GalleryVisit, photo: Photo) -> None:
    assert visit.identify(photo("001-smiling")) == ["Nobody in this gallery"]
    assert visit.page.inner_text(".found-face p") == NOTHING_TO_COMPARE_WITH


def test_a_photo_that_shows_no_face_is_told_apart_from_one_of_nobody(visit: GalleryVisit, tmp_path: Path) -> None:
    Image.new("RGB", (600, 400), "#8a7f70").save(tmp_path / "nobody.png")
    with visit.page.expect_file_chooser() as chooser:
        visit.page.click("#probe-photo [data-key=pick]")
    chooser.value.set_files(tmp_path / "nobody.png")
    assert visit.page.inner_text("#probe-photo .note.bad").startswith("No face found.")
    assert visit.page.locator(".found-face").count() == 0


def test_consent_note_and_the_day_to_forget_arrive_and_stay(
    visit: GalleryVisit, photo: Photo, stored: httpx2.Client
) -> None:
    page = visit.page
    for field, value in (("reference", "form 7"), ("given", "2026-01-31"), ("forget", "2099-12-24"), ("note", "north")):
        page.fill(f"#enrol-{field}", value)
    visit.enrol("Anna", photo("001-neutral"))
    facts = stored.get("/people/Anna").json()
    assert (facts["note"], facts["consent"]) == ("north", {"reference": "form 7", "given_on": "2026-01-31"})
    offset_min = page.evaluate("new Date(2099, 11, 24).getTimezoneOffset()")
    assert facts["forget_at"] == f"2099-12-24T{offset_min // 60:02}:00:00Z"
    assert page.input_value("#enrol-reference") == page.input_value("#enrol-person") == ""
    visit.look_at("Anna")
    assert "form 7, given on Jan 31, 2026" in page.inner_text(".people")
    page.fill("#enrol-note", "south")
    visit.enrol("Anna", photo("001-smiling"))
    page.wait_for_selector(".people:has-text('south')")
    again = stored.get("/people/Anna").json()
    assert (again["note"], again["consent"], again["forget_at"]) == ("south", facts["consent"], facts["forget_at"])
    assert len(again["templates"]) == 2


def test_consent_without_a_day_is_of_today(visit: GalleryVisit, photo: Photo, stored: httpx2.Client) -> None:
    visit.page.fill("#enrol-reference", "form 8")
    before = date.today()  # noqa: DTZ011 - the browser's own day, on the same machine
    visit.enrol("Anna", photo("001-neutral"))
    given_on = stored.get("/people/Anna").json()["consent"]["given_on"]
    assert before <= date.fromisoformat(given_on) <= date.today()  # noqa: DTZ011 - the same


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photos_are_also_dropped_and_pasted(visit: GalleryVisit, photo: Photo, kind: str) -> None:
    page = visit.page
    page.fill("#enrol-person", "Anna")
    for name in ("001-neutral", "001-smiling"):
        give(page, kind, "#enrol-person", photo(name))
    page.wait_for_selector(".thumbs li:nth-child(2)")
    page.click("[data-key=enrol]")
    assert "New templates: 2." in visit.enrolled()
    page.focus("#probe-photo [data-key=pick]")
    give(page, kind, "#probe-photo", photo("001-smiling"))
    assert visit.identified() == ["Anna"]


def test_pasted_photos_are_compared_too(gallery_page: Page, photo: Photo) -> None:
    for name in ("001-neutral", "001-smiling"):
        give(gallery_page, "paste", "body", photo(name))
        gallery_page.wait_for_selector(f"#{'probe' if 'neutral' in name else 'reference'} .note.good")
    assert gallery_page.inner_text("#verdict-words").strip() == "Same person"


def test_a_template_is_forgotten_and_then_the_person(visit: GalleryVisit, photo: Photo, stored: httpx2.Client) -> None:
    visit.enrol("Anna", photo("001-neutral"), photo("001-smiling"))
    visit.enrol("Bo", photo("005-neutral"))
    assert visit.identify(photo("001-neutral")) == ["Anna"]
    visit.look_at("Anna")
    assert "People: 0. Templates: 1." in visit.forget("details[open] .templates li:nth-child(1) button")
    until(visit.page, "() => document.querySelectorAll('.people details[open] .templates li').length === 1")
    assert len(stored.get("/people/Anna").json()["templates"]) == 1
    visit.forget("[data-key='forget-person-Anna']")
    visit.page.wait_for_selector(".receipt:has-text('People: 1. Templates: 1.')")
    visit.page.wait_for_selector(".found-face h3:has-text('Nobody')")
    assert stored.get("/people/Anna").json()["code"] == "no_such_person"
    until(visit.page, "() => document.querySelectorAll('.people summary').length === 1")
    assert visit.page.evaluate("document.activeElement.id") == "people-title"


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_nothing_is_forgotten_until_it_is_confirmed(
    visit: GalleryVisit, photo: Photo, stored: httpx2.Client, way: str
) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.look_at("Anna")
    visit.page.click("[data-key='forget-person-Anna']")
    assert visit.page.inner_text("#asking-title") == "Forget Anna?"
    assert visit.page.evaluate("document.activeElement.dataset.key") == "cancel"
    if way == "button":
        visit.page.click("[data-key=cancel]")
    else:
        visit.page.keyboard.press("Escape")
    visit.page.wait_for_selector("dialog", state="detached")
    assert stored.get("/people/Anna").status_code == 200
    assert visit.page.evaluate("document.activeElement.dataset.key") == "forget-person-Anna"


def test_more_photos_of_somebody_are_added_from_the_list(
    visit: GalleryVisit, photo: Photo, stored: httpx2.Client
) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.look_at("Anna")
    visit.page.click("[data-key='add-person-Anna']")
    assert visit.page.input_value("#enrol-person") == "Anna"
    assert visit.page.evaluate("document.activeElement.dataset.key") == "pick"
    visit.choose(photo("001-smiling"))
    visit.page.press("#enrol-person", "Enter")
    visit.page.wait_for_selector(".people:has-text('Templates: 2')")
    assert len(stored.get("/people/Anna").json()["templates"]) == 2


def test_all_people_can_be_listed(visit: GalleryVisit, stored: httpx2.Client) -> None:
    for number in range(103):
        assert stored.put(f"/people/p{number:03}").status_code == 201
    visit.open(visit.name)
    visit.page.click("[data-key=more]")
    until(visit.page, "() => document.querySelectorAll('.people summary').length === 103")
    assert visit.people()[-1] == "p102 Templates: 0"
    assert visit.page.locator("[data-key=more]").count() == 0
    assert "People: 103. Templates: 0." in visit.page.inner_text("[aria-labelledby=people-title]")


def test_what_was_said_of_one_gallery_is_gone_in_another(visit: GalleryVisit, photo: Photo) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    assert visit.identify(photo("001-smiling")) == ["Anna"]
    visit.page.fill("#enrol-person", "half-written")
    visit.name += " of another kind"
    visit.begin()
    assert visit.identified() == ["Nobody in this gallery"]
    assert visit.people() == []
    assert visit.page.input_value("#enrol-person") == ""


def test_no_more_photos_are_taken_than_a_request_may_have(visit: GalleryVisit, photo: Photo) -> None:
    stated = re.search(r"const MOST_PHOTOS = (\d+);", SCRIPT.read_text(encoding="utf-8"))
    assert stated is not None
    assert int(stated[1]) == MAX_IMAGES
    visit.choose(*[photo("001-neutral")] * (MAX_IMAGES + 1))
    assert visit.page.locator(".thumbs li").count() == MAX_IMAGES
    assert "At most 16 photos" in visit.page.inner_text(".enrolment .note.ask")
    visit.page.click("[data-key=remove-16]")
    until(visit.page, f"() => document.querySelectorAll('.thumbs li').length === {MAX_IMAGES - 1}")


def test_the_tab_has_an_address_and_a_title(gallery_page: Page, gallery_url: str) -> None:
    assert gallery_page.title() == "visavis · Are these two photos of one person?"
    assert gallery_page.get_attribute(TAB, "aria-current") == "false"
    gallery_page.click(TAB)
    gallery_page.wait_for_selector("#gallery-name")
    assert gallery_page.title() == "visavis · Who is on this photo?"
    assert gallery_page.get_attribute(TAB, "aria-current") == "true"
    assert gallery_page.url == f"{gallery_url}/#gallery"
    gallery_page.go_back()
    gallery_page.wait_for_selector("#photos")
    assert gallery_page.locator("#gallery-name").is_hidden()


def test_all_of_it_is_said_in_chinese_too_and_back(visit: GalleryVisit, photo: Photo) -> None:
    page = visit.page
    visit.enrol("Anna", photo("001-neutral"))
    visit.identify(photo("001-smiling"))
    visit.look_at("Anna")
    visit.ask_to_enrol("Bo", photo("001-smiling"))
    visit.refusals()
    page.click("#language")
    text = page.inner_text("body")
    for words in ("登记一个人", "1,000 张陌生人的照片中\uff0c最多 10 张", "已登记为 Anna", "没有记录"):
        assert words in text
    left = re.findall(r"[A-Za-z]{3,} [a-z]{3,} [a-z]{3,}", text)
    assert left in ([], ["the people of"])  # the name of the data is the card's own
    assert page.input_value("#enrol-person") == "Bo"
    page.click("#language")
    assert "Already enrolled as Anna." in page.inner_text(".thumbs")


def test_keys_alone_enrol_identify_and_forget(gallery_page: Page, photo: Photo) -> None:
    page = gallery_page
    page.on("filechooser", lambda _chooser: None)  # from now on, or a key may be quicker than who waits for it
    press_on(page, TAB, "Enter")
    page.wait_for_selector("#gallery-name")
    type_into(page, "#gallery-name", "by keys")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-key=create]")
    press_on(page, "[data-key=create]", "Enter")
    page.wait_for_selector("[aria-labelledby=people-title] .lead")
    type_into(page, "#enrol-person", "Anna")
    choose_by_keys(page, ".enrolment [data-key=pick]", photo("001-neutral"))
    page.wait_for_selector(".thumbs li")
    press_on(page, "[data-key=enrol]", "Enter")
    page.wait_for_selector(".enrolment .note.good")
    page.wait_for_selector(".people")
    choose_by_keys(page, "#probe-photo [data-key=pick]", photo("001-smiling"))
    page.wait_for_selector(".found-face h3:has-text('Anna')")
    press_on(page, "[data-key=person-Anna]", "Enter")
    press_on(page, "[data-key=forget-person-Anna]", "Space")
    page.wait_for_selector("#asking-title")
    press_on(page, "[data-key=confirm]", "Enter")
    page.wait_for_selector(".receipt:has-text('People: 1.')")
    page.wait_for_selector(".found-face h3:has-text('Nobody')")


def press_on(page: Page, selector: str, key: str) -> None:
    tab_to(page, selector)
    page.keyboard.press(key)


def type_into(page: Page, selector: str, text: str) -> None:
    tab_to(page, selector)
    page.keyboard.type(text)


def choose_by_keys(page: Page, selector: str, path: Path) -> None:
    tab_to(page, selector)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(path)


def test_a_phone_shows_the_gallery_in_its_width(
    browser: Browser, gallery_url: str, photo: Photo, three_people: Path
) -> None:
    with watched(opened(browser, width=390), gallery_url) as page:
        visit = GalleryVisit(page)
        visit.begin()
        person = "somebody-with-an-id-that-is-longer-than-the-line-of-a-phone"
        visit.enrol(person, photo("041-neutral"))
        assert visit.identify(three_people)[1] == f"Face 2: {person}"
        visit.look_at(person)
        visit.ask_to_enrol("Bo", photo("041-smiling"))
        visit.refusals()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        wide = "[...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > 390.5)"
        assert page.evaluate(f"{wide}.map((each) => each.outerHTML.slice(0, 80))") == []
