"""Dark, flat and washed-out photos: their grey levels are stretched, this is told, and a refusal blames the light."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder import FaceEmbedder, Limits, NoFace
from embedder.image import Photo, decode_image
from embedder.types import Tone

PEOPLE = ("001", "005", "021", "041")


def jpeg(values: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def darkened(path: Path, mean: float) -> bytes:
    """With crushed shadows and sensor noise."""
    values = (np.asarray(Image.open(path).convert("RGB"), float) / 255) ** 1.8
    return jpeg(values * (mean / values.mean()) + np.random.default_rng(0).normal(0, 1, values.shape))


def washed_out(path: Path) -> bytes:
    return jpeg(225 + 0.1 * np.asarray(Image.open(path).convert("RGB"), float))


@pytest.mark.parametrize("mean", [13, 20, 30])
@pytest.mark.parametrize("person", PEOPLE)
def test_a_dark_photo_is_compared_and_this_is_told(
    embedder: FaceEmbedder, examples: Path, person: str, mean: float
) -> None:
    reference = (examples / f"{person}-smiling.jpg").read_bytes()
    found = embedder.verify(darkened(examples / f"{person}-neutral.jpg", mean), reference)
    assert found.same
    assert (found.probe.is_stretched, found.reference.is_stretched) == (True, False)
    assert found.notes == (
        "The probe is dark or flat, so its grey levels were stretched. Use a photo in better light.",
    )


def test_a_washed_out_photo_is_compared(embedder: FaceEmbedder, examples: Path) -> None:
    for person in PEOPLE:
        picture = washed_out(examples / f"{person}-neutral.jpg")
        found = embedder.verify(picture, (examples / f"{person}-smiling.jpg").read_bytes())
        assert found.same
        assert found.probe.is_stretched


def test_an_ordinary_photo_is_left_as_it_is(data: Path) -> None:
    for path in [*sorted((data / "lfw-view1" / "lfw").glob("*/*.jpg"))[::100], *sorted((data / "orl").glob("*/1.pgm"))]:
        tone = decode_image(path.read_bytes(), Limits()).tone()
        assert not tone.is_stretchable, path.name
        assert tone.high - tone.low > 100


@pytest.mark.parametrize(
    ("grey", "light"),
    [
        (9, "the picture is very dark (mean grey 9 of 255)"),
        (200, "the picture is flat or washed out (its grey levels span 0 of 255)"),
    ],
)
def test_a_refusal_blames_the_light(embedder: FaceEmbedder, grey: int, light: str) -> None:
    with pytest.raises(NoFace, match="send a photo taken in more even light in which one face is upright") as refusal:
        embedder.embed(jpeg(np.full((200, 200, 3), grey, float)))
    assert light in str(refusal.value)
    assert refusal.value.light == light


def test_a_picture_in_good_light_is_not_blamed_for_it(embedder: FaceEmbedder) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 300)[None, :, None], (300, 300, 3))
    with pytest.raises(NoFace, match="the face may be small, covered, or lie at an angle") as refusal:
        embedder.embed(jpeg(ramp))
    assert refusal.value.light is None


def test_the_tone_is_that_of_numpy_and_stretching_fills_the_range() -> None:
    values = np.random.default_rng(0).integers(40, 61, (400, 400, 1)).repeat(3, axis=2).repeat(4, axis=0).repeat(4, 1)
    photo = Photo.of(Image.fromarray(values.astype(np.uint8)))
    tone = photo.tone()
    assert tone == Tone(pytest.approx(values.mean(), abs=0.1), 40, 60)
    stretched = np.asarray(photo.stretched(tone).at(1))
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert stretched == pytest.approx((values - 40) * 255 / 20, abs=0.5)


def test_the_tone_of_a_large_photo_needs_no_second_decoding(examples: Path) -> None:
    large = Image.open(examples / "001-neutral.jpg").resize((4000, 3000))
    file = BytesIO()
    large.save(file, "JPEG")
    photo, decoded = decode_image(file.getvalue(), Limits()), []
    decode = photo._decode
    photo._decode = lambda factor: decoded.append(factor) or decode(factor)
    photo.tone()
    assert decoded == []
