"""What cannot be enrolled, identified or forgotten is told in the gallery's tab, with a way forward."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from covered_photos import covered_photo
from gallery_visit import TAB, GalleryVisit
from live_service import served
from playwright.sync_api import Browser, Page
from visit import opened, until, watched

from embedder import FaceEmbedder, copy_bundle, load, read_bundle
from service.access.keys import KeyFile, KeyGrant
from service.app import create_app
from service.settings import Settings

Photo = Callable[[str], Path]


@pytest.fixture
def visit(browser: Browser, gallery_url: str) -> Iterator[GalleryVisit]:
    with watched(opened(browser), gallery_url) as page:
        visit = GalleryVisit(page)
        visit.begin()
        yield visit


def test_each_refused_photo_says_why_in_words(
    visit: GalleryVisit, photo: Photo, three_people: Path, embedder: FaceEmbedder, tmp_path: Path
) -> None:
    (tmp_path / "letter.jpg").write_text("dear reader", encoding="utf-8")
    (tmp_path / "mask.png").write_bytes(covered_photo(embedder, photo("001-neutral"), "masks"))
    visit.ask_to_enrol("Anna", photo("001-neutral"), three_people, tmp_path / "letter.jpg", tmp_path / "mask.png")
    assert visit.refusals() == [
        "",
        "Several faces. Cut the photo so that it shows one.",
        "Not a picture that can be read. Use JPEG, PNG or WebP.",
        "The face is covered, as by a mask or dark glasses.",
    ]
    assert visit.page.inner_text(".enrolment .note.bad") == "Nothing was enrolled: 3 of 4 photos cannot be used."
    assert visit.people() == []
    for number in (4, 3, 2):
        visit.page.click(f"[data-key=remove-{number}]")
    assert visit.page.locator(".reason").count() == 0
    visit.page.click("[data-key=enrol]")
    assert visit.enrolled().startswith("Anna is enrolled.")


def test_a_photo_of_another_person_is_refused(visit: GalleryVisit, photo: Photo) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.ask_to_enrol("Anna", photo("001-smiling"), photo("005-neutral"))
    refusals = visit.refusals()
    assert refusals[0] == ""
    assert refusals[1].startswith("Shows another person than the other photos")
    assert visit.page.locator("[data-key=insist]").count() == 0


def test_somebody_who_is_enrolled_already_is_named_and_can_be_enrolled_as_that_person(
    visit: GalleryVisit, photo: Photo
) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.ask_to_enrol("Bo", photo("001-smiling"))
    assert visit.refusals() == ["Already enrolled as Anna."]
    visit.page.click("[data-key=enrol-as]")
    assert visit.enrolled().startswith("Anna is enrolled. New templates: 1.")
    assert visit.people() == ["Anna Templates: 2"]


def test_two_people_who_look_alike_are_enrolled_on_demand(visit: GalleryVisit, photo: Photo) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.ask_to_enrol("Anna's twin", photo("001-smiling"))
    visit.page.click("[data-key=insist]")
    assert visit.enrolled().startswith("Anna's twin is enrolled.")
    until(visit.page, "() => document.querySelectorAll('.people summary').length === 2")


def test_the_same_photo_again_is_no_second_template(visit: GalleryVisit, photo: Photo) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.ask_to_enrol("Anna", photo("001-neutral"))
    visit.page.wait_for_selector(".note.good:has-text('New templates: 0. Photos that were there already: 1.')")


def test_an_impatient_second_click_sends_nothing(visit: GalleryVisit, photo: Photo) -> None:
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.url))
    visit.page.fill("#enrol-person", "Anna")
    visit.choose(photo("001-neutral"))
    visit.page.dblclick("[data-key=enrol]")
    assert "New templates: 1." in visit.enrolled()
    assert len([each for each in sent if each.endswith("/photos")]) == 1


def test_photos_and_facts_that_did_not_arrive_are_sent_again_together(visit: GalleryVisit, photo: Photo) -> None:
    page = visit.page
    page.route("**/people/Anna/photos", lambda route: route.abort())
    page.fill("#enrol-note", "north")
    visit.ask_to_enrol("Anna", photo("001-neutral"))
    page.wait_for_selector(".enrolment .trouble:has-text('cannot be reached')")
    page.unroute("**/people/Anna/photos")
    page.click(".enrolment [data-key=again]")
    visit.look_at("Anna")
    page.wait_for_selector(".people:has-text('north')")
    assert page.input_value("#enrol-note") == ""


def test_without_a_photo_nothing_is_sent(visit: GalleryVisit) -> None:
    visit.page.fill("#enrol-person", "Anna")
    visit.page.click("[data-key=enrol]")
    assert visit.page.inner_text(".enrolment .note.bad") == "Choose at least one photo."
    assert visit.page.evaluate("document.activeElement.dataset.key") == "pick"


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_a_name_that_would_lead_elsewhere_is_not_sent(visit: GalleryVisit, photo: Photo, name: str) -> None:
    sent: list[str] = []
    visit.page.on("request", lambda request: sent.append(request.url))
    visit.ask_to_enrol(name, photo("001-neutral"))
    visit.open(name)
    assert visit.page.evaluate("document.querySelectorAll('input:invalid').length") == 2
    assert [each for each in sent if "/v1/" in each] == []


def test_what_somebody_else_changed_is_read_again_and_not_forgotten(
    visit: GalleryVisit, photo: Photo, gallery_url: str
) -> None:
    visit.enrol("Anna", photo("001-neutral"))
    visit.look_at("Anna")
    with httpx2.Client(base_url=f"{gallery_url}/v1/galleries/{visit.name}") as other:
        other.put("/people/Anna", json={"note": "new"})
        visit.page.click("[data-key='forget-person-Anna']")
        visit.page.click("[data-key=confirm]")
        visit.page.wait_for_selector(".people:has-text('new')")
        assert other.get("/people/Anna").status_code == 200
    assert "read again" in visit.page.inner_text("[aria-labelledby=people-title] .note")
    assert visit.page.locator(".receipt").count() == 0


@pytest.fixture
def loose_embedder(tmp_path: Path) -> FaceEmbedder:
    """The default model, as if no operating point stricter than an FMR of 1e-3 had been measured."""
    card = read_bundle().card
    points = [point for point in card.operating_points if point.name in ("fmr-1e-2", "fmr-1e-3")]
    copy_bundle(None, tmp_path / "bundle", card.model_validate(dict(card) | {"operating_points": points}))
    return load(tmp_path / "bundle")


def test_a_claim_that_was_not_measured_is_refused_until_more_is_allowed(
    browser: Browser, loose_embedder: FaceEmbedder, photo: Photo, tmp_path: Path
) -> None:
    settings = Settings(gallery=f"sqlite:///{tmp_path / 'gallery.db'}")
    with served(create_app(settings, loose_embedder)) as url, watched(opened(browser), url) as page:
        visit = GalleryVisit(page)
        visit.begin()
        visit.enrol("Anna", photo("001-neutral"))
        visit.identify(photo("001-smiling"))
        page.locator("[id='fpir-0.0001']").check()
        assert "not measured well enough" in page.inner_text(".identification .trouble")
        assert "0.000971" in page.inner_text(".identification .trouble q")
        page.locator("[id='fpir-0.1']").check()
        assert visit.identified() == ["Anna"]
        assert page.locator(".identification .trouble").count() == 0


def test_templates_of_another_model_are_marked(
    browser: Browser, embedder: FaceEmbedder, dlib: FaceEmbedder, photo: Photo, tmp_path: Path
) -> None:
    settings = Settings(gallery=f"sqlite:///{tmp_path / 'gallery.db'}")
    with served(create_app(settings, dlib)) as url, httpx2.Client(base_url=f"{url}/v1/galleries", timeout=60) as before:
        before.put("/staff")
        before.post("/staff/people/Anna/photos", files={"image": photo("001-neutral").read_bytes()})
    with served(create_app(settings, embedder)) as url, watched(opened(browser), url) as page:
        page.click(TAB)
        visit = GalleryVisit(page)
        visit.open("staff")
        visit.look_at("Anna")
        assert "Of another model: never compared." in page.inner_text(".templates")
        assert visit.identify(photo("001-smiling")) == ["Nobody in this gallery"]
        assert page.inner_text(".found-face p").startswith("There is no template")  # it is not empty


def test_without_galleries_there_is_no_tab_and_its_address_says_how_to_have_one(page: Page, url: str) -> None:
    assert page.locator("#tabs").is_hidden()
    page.goto(f"{url}/#gallery")
    assert "visavis serve --gallery sqlite:///" in page.inner_text("#gallery-parts .trouble q")
    page.click("#language")
    assert "没有图库" in page.inner_text("#gallery-parts")


@pytest.fixture
def guarded(embedder: FaceEmbedder, tmp_path: Path) -> Iterator[tuple[str, Callable[..., str]]]:
    """A service with galleries that needs keys; gives its address, and what makes a key of some scopes."""
    file = KeyFile(tmp_path / "keys.json")
    first = file.create(KeyGrant("first", ("enrol",))).text
    settings = Settings(gallery=f"sqlite:///{tmp_path / 'gallery.db'}", keys=str(file.path))
    keys = {("identify",): file.create(KeyGrant("gate", ("identify",))).text}
    keys["enrol", "identify"] = file.create(KeyGrant("desk", ("enrol", "identify"))).text
    with served(create_app(settings, embedder)) as url:
        staff = httpx2.Client(base_url=f"{url}/v1/galleries", headers={"Authorization": f"Bearer {first}"}, timeout=60)
        with staff:
            staff.put("/staff")
        yield url, lambda *scopes: keys[scopes]


def test_a_key_that_may_only_identify_does_so_and_sees_no_list(
    guarded: tuple[str, Callable[..., str]], browser: Browser, photo: Photo
) -> None:
    url, key = guarded
    page = opened(browser).new_page()
    page.goto(f"{url}/#gallery")
    visit = GalleryVisit(page)
    visit.open("staff")
    give_key(page, "#gallery-parts > div > .trouble", key("identify"))
    assert "enrol" in page.inner_text("[aria-labelledby=people-title] .trouble q")
    assert visit.identify(photo("001-smiling")) == ["Nobody in this gallery"]
    give_key(page, "[aria-labelledby=people-title] .trouble", key("enrol", "identify"))
    page.wait_for_selector("[aria-labelledby=people-title] .lead")
    visit.enrol("Anna", photo("001-neutral"))
    visit.look_at("Anna")
    page.click("[data-key='forget-person-Anna']")
    page.click("[data-key=confirm]")
    assert "forget" in page.inner_text("[aria-labelledby=people-title] .trouble q")
    page.click("#tabs a[href='#compare']")
    page.wait_for_selector("#model:not(:empty)")  # the key helps there too
    assert page.locator("#trouble .trouble").count() == 0
    page.context.close()


def give_key(page: Page, trouble: str, key: str) -> None:
    page.fill(f"{trouble} [data-key=key]", key)
    page.press(f"{trouble} [data-key=key]", "Enter")
