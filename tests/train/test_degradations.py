"""Degraded copies: of the original's size, poorer the higher the number, and the same bytes every time."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from train.evaluation.embedding import BLUR_PX, DEGRADATIONS, JPEG_QUALITY, WIDTH_PX, _degraded, degraded

register_heif_opener()  # so that a test can write HEIC


@pytest.fixture(scope="module")
def picture(examples: Path) -> Image.Image:
    return Image.open(examples / "001-neutral.jpg").convert("RGB")


def opened(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGB")


def loss(picture: Image.Image, name: str) -> float:
    """Mean difference to the original, in grey levels."""
    found = np.asarray(opened(degraded(picture, name)), np.float64)
    return float(np.abs(found - np.asarray(picture)).mean())


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_copy_has_the_size_of_the_original_and_is_not_the_same(picture: Image.Image, name: str) -> None:
    assert opened(degraded(picture, name)).size == picture.size
    assert loss(picture, name) > 0.1
    assert degraded(picture, name) == degraded(picture, name)


@pytest.mark.parametrize("names", [tuple(BLUR_PX), tuple(WIDTH_PX), tuple(JPEG_QUALITY)])
def test_each_kind_goes_from_good_to_bad(picture: Image.Image, names: tuple[str, ...]) -> None:
    losses = [loss(picture, name) for name in names]
    assert losses == sorted(losses)


def test_blur_is_of_a_picture_of_250_px() -> None:
    """A blurred point is as wide as its sigma: 2 px in a picture of 250, 4 in one of 500."""
    for side, sigma in ((250, 2.0), (500, 4.0)):
        point = Image.new("RGB", (side, side))
        point.paste((255, 255, 255), (side // 2 - 20, side // 2, side // 2 + 21, side // 2 + 1))
        rows = np.asarray(opened(degraded(point, "blur2")), np.float64)[:, side // 2, 0]
        offsets = np.arange(side) - side // 2
        assert np.sqrt((rows * offsets**2).sum() / rows.sum()) == pytest.approx(sigma, rel=0.15)


def test_a_tall_strip_keeps_a_row_and_a_wide_one_its_shape() -> None:
    for size in ((4, 900), (900, 4)):
        assert opened(degraded(Image.new("RGB", size, "red"), "px32")).size == size


def test_an_unknown_name_is_refused_with_those_there_are(picture: Image.Image) -> None:
    with pytest.raises(ValueError, match=r"must be one of blur1, .*, jpeg10, not 'fog'"):
        degraded(picture, "fog")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG2000", "PNG"])
def test_a_photo_of_every_format_is_degraded(kind: str) -> None:
    out = BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, kind)
    small = _degraded(out.getvalue(), "px32")
    assert (small[:2], opened(small).size) == (b"BM", (256, 256))
    assert _degraded(out.getvalue(), "jpeg10").startswith(b"\xff\xd8")


def test_what_cannot_be_read_is_left_for_the_embedder_to_refuse() -> None:
    assert _degraded(b"no image", "px32") == b"no image"
