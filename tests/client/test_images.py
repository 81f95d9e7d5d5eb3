"""Every way to hold an image becomes the bytes of an image file, and loses nothing on the way."""

from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from service.client.inputs import read_image

CONTENT = b"whatever a file holds"
ORIENTATION, MAKER = 274, 271
QUARTER_TURN = 6

Shapes = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))
)


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def picture(mode: str) -> Image.Image:
    """A small picture of the mode, of pixels that differ."""
    grey = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)
    if mode == "I;16":
        return Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000)
    if mode in {"LA", "RGBA"}:
        return Image.merge(mode, [grey] * (len(mode)))
    return grey.convert(mode) if mode in {"L", "1", "F", "I"} else grey.convert("RGB").convert(mode)


def jpeg_with_orientation(mode: str = "RGB") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = QUARTER_TURN, "Camera"
    out = BytesIO()
    picture(mode).save(out, "JPEG", exif=exif, xmp=b"<x>Place</x>", comment=b"Place")
    return out.getvalue()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, BytesIO])
def test_bytes_and_binary_files_are_sent_as_they_are(kind: Callable[[bytes], object]) -> None:
    assert read_image(kind(CONTENT)) == CONTENT


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_stands_for_its_file(tmp_path: Path, kind: Callable[[Path], str | Path]) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(CONTENT)
    assert read_image(kind(path)) == CONTENT


def test_an_open_file_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"head" + CONTENT)
    with path.open("rb") as file:
        file.seek(4)
        assert read_image(file) == CONTENT
        assert not file.closed


def test_a_path_without_a_file_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.jpg")


@given(hnp.arrays(np.uint8, Shapes))
def test_an_array_comes_back_pixel_by_pixel(pixels: np.ndarray) -> None:
    assert np.array_equal(np.asarray(opened(read_image(pixels))), pixels)


def test_a_mirrored_view_of_an_array_is_read_as_it_looks() -> None:
    bgr = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(np.asarray(opened(read_image(bgr[..., ::-1]))), bgr[..., ::-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int64, np.bool_])
def test_an_array_of_other_numbers_is_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match="must have dtype uint8"):
        read_image(np.zeros((4, 4, 3), dtype))


@pytest.mark.parametrize("shape", [(), (4,), (4, 4, 1), (4, 4, 4), (3, 4, 4), (1, 4, 4, 3), (0, 4, 3), (4, 0)])
def test_an_array_of_another_shape_is_refused_and_its_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(h, w, 3\) RGB or \(h, w\) grey") as caught:
        read_image(np.zeros(shape, np.uint8))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F", "I"])
def test_a_pil_image_comes_back_in_its_mode_pixel_by_pixel(mode: str) -> None:
    original = picture(mode)
    sent = opened(read_image(original))
    assert sent.mode == mode
    assert sent.convert("RGB").tobytes() == original.convert("RGB").tobytes()
    assert np.array_equal(np.asarray(sent), np.asarray(original))


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "HSV"])
def test_a_pil_image_that_no_file_holds_without_loss_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode {mode}"):
        read_image(Image.new(mode, (4, 4)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_pil_image_that_is_not_upright_yet_is_turned_once(mode: str) -> None:
    lying = opened(jpeg_with_orientation(mode))
    sent = opened(read_image(lying))
    assert np.array_equal(np.asarray(sent), np.rot90(np.asarray(lying), k=-1))
    assert sent.getexif().get(ORIENTATION, 1) == 1


def test_a_pil_image_that_was_turned_already_is_not_turned_again() -> None:
    upright = ImageOps.exif_transpose(opened(jpeg_with_orientation()))
    assert np.array_equal(np.asarray(opened(read_image(upright))), np.asarray(upright))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_what_a_pil_image_says_beside_its_pixels_stays_here(mode: str) -> None:
    content = jpeg_with_orientation(mode)
    assert b"Camera" in content
    assert b"Place" in content
    sent = read_image(opened(content))
    assert b"Camera" not in sent
    assert b"Place" not in sent


def test_the_callers_pil_image_is_left_as_it_was() -> None:
    lying = opened(jpeg_with_orientation())
    read_image(lying)
    assert (lying.size, lying.getexif()[ORIENTATION]) == ((8, 6), QUARTER_TURN)


def test_an_animation_is_sent_as_the_frame_it_stands_at() -> None:
    out = BytesIO()
    frames = [Image.new("L", (4, 4), grey) for grey in (0, 200)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    animation = opened(out.getvalue())
    animation.seek(1)
    assert opened(read_image(animation)).convert("L").getpixel((0, 0)) == 200


@pytest.mark.parametrize("thing", [None, 3, [1, 2], {"image": b""}, object()])
def test_anything_else_is_refused_with_its_kind_and_without_its_content(thing: object) -> None:
    with pytest.raises(TypeError, match=f"not {type(thing).__name__}$"):
        read_image(thing)


def test_a_file_opened_as_text_is_refused() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        read_image(StringIO("text"))
