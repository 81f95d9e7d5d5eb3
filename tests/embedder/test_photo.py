"""One photo at several sizes: how often it is decoded, how large, and that what is cut from it is the same face."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder import FaceEmbedder, ImageUnreadable, Limits
from embedder.image import FACTORS, Photo, decode_image, factor_for


def jpeg(picture: Image.Image, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=92, **options)
    return out.getvalue()


def enlarged(path: Path, times: int) -> Image.Image:
    picture = Image.open(path)
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.BICUBIC)


class Decoder:
    """Gives a grey picture, and remembers the factors that were asked for."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size, self.asked = size, []

    def __call__(self, factor: int) -> Image.Image:
        self.asked.append(factor)
        return Image.new("RGB", tuple(-(-side // factor) for side in self.size), "grey")


@pytest.mark.parametrize(
    ("size", "first"), [((319, 200), 1), ((639, 480), 1), ((640, 9), 2), ((1280, 960), 4), ((4000, 3000), 8)]
)
def test_the_first_decoding_leaves_320_px_at_least(size: tuple[int, int], first: int) -> None:
    decode = Decoder(size)
    Photo(size, decode)
    assert decode.asked == [first]


def test_smaller_pictures_are_made_of_what_is_decoded_and_larger_ones_decoded_once() -> None:
    decode = Decoder((4001, 2999))
    photo = Photo((4001, 2999), decode)
    sizes = {factor: photo.at(factor).size for factor in (8, 4, 2, 2, 8)}
    assert sizes == {factor: (-(-4001 // factor), -(-2999 // factor)) for factor in (8, 4, 2)}
    assert decode.asked == [8, 4, 2]


@pytest.mark.parametrize("size", [(20_000, 1), (5, 20_000), (20_000, 13)])
def test_a_very_long_jpeg_is_read_as_any_other(size: tuple[int, int]) -> None:
    photo = decode_image(jpeg(Image.new("RGB", size, "grey")), Limits())
    assert photo.size == size
    assert all(photo.at(factor).size == tuple(-(-side // factor) for side in size) for factor in FACTORS)


@pytest.mark.parametrize("shrinking", [0.3, 1.0, 1.9, 2.0, 7.9, 8.0, 100.0])
def test_no_picture_is_reduced_below_what_is_needed(shrinking: float) -> None:
    factor = factor_for(shrinking)
    assert factor in FACTORS
    assert factor == 1 or factor <= shrinking
    assert all(other <= factor or other > shrinking for other in FACTORS)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("factor", FACTORS)
def test_at_any_size_a_jpeg_stands_upright(orientation: int, factor: int) -> None:
    lying = Image.new("RGB", (1601, 1200), "blue")
    lying.paste("red", (0, 0, 800, 600))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_image(jpeg(lying, exif=exif), Limits())
    assert photo.size == ((1601, 1200) if orientation in (1, 3) else (1200, 1601))
    picture = photo.at(factor)
    assert picture.size == tuple(-(-side // factor) for side in photo.size)
    red = {1: (0, 0), 3: (1, 1), 6: (1, 0), 8: (0, 1)}[orientation]
    corner = tuple(side - 4 if far else 3 for side, far in zip(picture.size, red, strict=True))
    assert picture.getpixel(corner)[0] > 200


def test_a_jpeg_that_breaks_off_is_refused_at_any_size(examples: Path) -> None:
    whole = jpeg(enlarged(examples / "001-neutral.jpg", 3))
    with pytest.raises(ImageUnreadable, match="broken"):
        decode_image(whole[: len(whole) // 2], Limits())


@pytest.mark.parametrize("times", [2, 4, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_same_photo_in_large_gives_the_same_face(
    embedder: FaceEmbedder, examples: Path, times: int, kind: str
) -> None:
    large, small = enlarged(examples / "001-neutral.jpg", times), (examples / "001-neutral.jpg").read_bytes()
    out = BytesIO()
    large.save(out, kind, **({"quality": 92} if kind == "JPEG" else {"compress_level": 1}))
    here, there = embedder.embed(small), embedder.embed(out.getvalue())
    assert np.linalg.norm(here.vector - there.vector) < 0.2
    assert np.allclose(
        there.sample.face.landmarks, times * np.array(here.sample.face.landmarks), atol=12 * times
    )  # another of several boxes may be taken
