"""What the network sees: chips, saliency, stripes, channels, feature maps; and models of other kinds."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from live_service import served
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page
from visit import Visit, opened, until, watched

from embedder import FaceEmbedder
from embedder.explain.explanation import sentences_of
from service.app import create_app
from service.settings import Settings

Photo = Callable[[str], Path]
PIXELS = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


@pytest.fixture
def compared(page: Page, visit: Visit, photo: Photo) -> Page:
    visit.compare(photo("001-neutral"), photo("001-smiling"))
    return page


def test_both_chips_are_shown_with_five_points_and_their_quality_in_words(compared: Page) -> None:
    assert compared.locator(".chip .point").count() == 10
    sizes = compared.locator(".chip img").evaluate_all("(all) => all.map((each) => each.naturalWidth)")
    assert sizes == [112, 112]
    assert compared.inner_text("#faces").count("Good photo: sharp, large and evenly lit") == 2


def test_what_mattered_is_laid_over_the_chips_on_demand(compared: Page) -> None:
    assert compared.locator(".heat").count() == 0
    compared.click("[data-key=why]")
    compared.wait_for_selector(".heat")
    for heat in compared.locator(".heat").all():
        opacities = heat.evaluate(PIXELS)[3::4]
        assert max(opacities) > 150
        assert len(set(opacities)) > 30
    assert compared.locator(".regions li").count() == 8
    compared.click("[data-key=landmarks]")
    assert compared.locator(".heat").count() == 0


def test_stripes_are_the_128_channels(compared: Page, embedder: FaceEmbedder, photo: Photo) -> None:
    rows = compared.locator(".stripes canvas")
    assert rows.evaluate_all("(all) => all.map((each) => each.width)") == [128, 128, 128]
    found = embedder.embed(photo("001-neutral").read_bytes())
    highest, lowest = int(found.vector.argmax()), int(found.vector.argmin())
    pixels = rows.first.evaluate(PIXELS)
    assert pixels[4 * highest] > pixels[4 * highest + 2]  # red
    assert pixels[4 * lowest] < pixels[4 * lowest + 2]  # blue


def test_channels_are_listed_by_their_share_all_of_them_on_demand(compared: Page) -> None:
    shares = "(all) => all.map((each) => parseFloat(each.style.width))"
    assert compared.locator(".channels li").count() == 6
    compared.click("[data-key=all]")
    widths = compared.locator(".channels .bar").evaluate_all(shares)
    assert len(widths) == 128
    assert widths == sorted(widths, reverse=True)


def test_a_channel_is_told_by_the_atlas_in_the_language_of_the_page(compared: Page, embedder: FaceEmbedder) -> None:
    first = compared.locator(".channels li").first
    sentences = sentences_of(embedder.identity)
    assert sentences is not None
    told = sentences[int(first.locator("strong").inner_text().removeprefix("Channel "))]
    assert first.locator("p").inner_text() == told.en
    compared.click("#language")
    assert first.locator("p").inner_text() == told.zh


def test_feature_maps_are_shown_layer_by_layer_for_either_photo(compared: Page) -> None:
    compared.click("[data-key=open]")
    first = compared.get_attribute(".maps-picture img", "src")
    assert "3@112x112 -> 32 kernels 3@3x3, stride 1, padding 1 -> 32@112x112" in compared.inner_text("#maps")
    compared.click("[data-key=next]")
    compared.wait_for_selector("img[alt*=conv2]")
    compared.click("#maps [data-key=reference]")
    compared.wait_for_selector(".maps-picture img")
    compared.select_option("#layer", label="head · 128 \u00d7 1 \u00d7 1")
    compared.wait_for_selector("img[alt='128 feature maps of head, the strongest first']")
    assert compared.get_attribute("[data-key=next]", "aria-disabled") == "true"
    assert compared.get_attribute(".maps-picture img", "src") != first


def test_a_card_with_a_penalty_is_shown_with_its_grade_of_the_photos(
    browser: Browser, penalty_embedder: FaceEmbedder, photo: Photo, tmp_path: Path
) -> None:
    soft = [tmp_path / f"{mood}.png" for mood in ("neutral", "smiling")]
    for path in soft:
        Image.open(photo(f"001-{path.stem}")).filter(ImageFilter.GaussianBlur(4)).save(path)
    with served(create_app(Settings(), penalty_embedder)) as url, watched(opened(browser), url) as page:
        Visit(page).compare(photo("001-neutral"), photo("001-smiling"))
        assert "With penalty" not in page.inner_text("#verdict")
        assert page.inner_text("#faces").count("Good photo: sharp, large and evenly lit") == 2
        said = page.get_attribute(".scale", "aria-label") or ""
        assert re.match(r"Scale: this pair at 0\.\d{3}, limit at 1\.\d{3}\. Same person\.", said)
        Visit(page).compare(*soft)  # the verdict on the first soft photo and the old reference may come before
        until(page, "() => document.querySelector('#verdict').innerText.includes('With penalty')")
        assert page.inner_text("#faces").count("Usable photo: blurred") == 2


def test_a_model_without_measured_distributions_is_shown_without_curves(
    browser: Browser, bare_embedder: FaceEmbedder, photo: Photo
) -> None:
    with served(create_app(Settings(), bare_embedder)) as url, watched(opened(browser), url) as page:
        Visit(page).compare(photo("001-neutral"), photo("001-smiling"))
        assert page.locator(".hill").count() == 0
        assert "No distributions were measured with this model" in page.inner_text("#verdict")
        assert "Distance between the two embeddings" in page.inner_text("#verdict")
        assert "With penalty" not in page.inner_text("#verdict")
