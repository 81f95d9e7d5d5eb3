"""Bytes to an upright RGB picture: formats, modes, orientation, limits."""

import struct

import numpy as np
import pytest
from image_files import encoded, png_of_16_bits
from PIL import Image

from embedder import ImageTooLarge, ImageTooSlow, ImageUnreadable, Limits, NotAnImage
from embedder.image import decode_image as read_photo

LIMITS = Limits()
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF", "JPEG2000")


def read(data: bytes, limits: Limits) -> Image.Image:
    return read_photo(data, limits).at(1)


def half_red() -> Image.Image:
    """Red above, blue below: 40 wide, 20 high."""
    picture = Image.new("RGB", (40, 20), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 40, 10))
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_named_is_read(kind: str) -> None:
    picture = read(encoded(half_red(), kind), LIMITS)
    assert (picture.mode, picture.size) == ("RGB", (40, 20))
    top, bottom = picture.getpixel((20, 3)), picture.getpixel((20, 16))
    assert (top[0] > 200, top[2] < 60) == (True, True)
    assert (bottom[2] > 200, bottom[0] < 60) == (True, True)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_of_png_becomes_rgb(mode: str) -> None:
    picture = half_red().convert("L" if mode == "I;16" else mode).convert(mode)
    assert read(encoded(picture, "PNG"), LIMITS).mode == "RGB"


def test_a_grey_pgm_is_read_with_its_values() -> None:
    grey = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    assert np.asarray(read(encoded(grey, "PPM"), LIMITS))[0, :, 0].tolist() == [0, 100, 255]


def test_cmyk_becomes_rgb_with_its_colours() -> None:
    red, _, blue = read(encoded(half_red().convert("CMYK"), "JPEG"), LIMITS).getpixel((20, 3))
    assert (red > 200, blue < 60) == (True, True)


@pytest.mark.parametrize(("orientation", "where_is_red"), [(1, (20, 3)), (3, (20, 16)), (6, (16, 20)), (8, (3, 20))])
def test_exif_orientation_is_applied(orientation: int, where_is_red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(encoded(half_red(), "JPEG", exif=exif), LIMITS)
    assert picture.size == ((40, 20) if orientation in (1, 3) else (20, 40))
    assert picture.getpixel(where_is_red)[0] > 200


def test_transparency_lies_over_white() -> None:
    assert read(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG"), LIMITS).getpixel((0, 0)) == (255, 255, 255)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    picture = read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), LIMITS)
    assert picture.getpixel((4, 4)) == (255, 0, 0)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    picture = Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
    assert np.asarray(read(encoded(picture, "PNG"), LIMITS))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_fewer_bits_in_sixteen_are_scaled_by_their_own_range(kind: str, bits: int) -> None:
    values = np.array([[0, 2**bits // 3, 2**bits - 1]], np.uint16)
    wanted = [0, 85, 255]
    assert np.asarray(read(encoded(Image.fromarray(values), kind), LIMITS))[0, :, 0].tolist() == pytest.approx(
        wanted, abs=1
    )


def colour_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits for each colour; values are (height, width, 3)."""
    height, width, _ = values.shape
    return png_of_16_bits((width, height), b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))


def colour_tiff(values: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of 16 bits for each colour; `order` is < or >, for the order of the bytes."""
    height, width, _ = values.shape
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 200)]
    tags += [(277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, values.size * 2)]
    head = (
        (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 14) + struct.pack(order + "HHH", 16, 16, 16)
    )
    entries = b"".join(
        struct.pack(
            order + ("HHIHH" if kind == 3 and n == 1 else "HHII"),
            tag,
            kind,
            n,
            *((value, 0) if kind == 3 and n == 1 else (value,)),
        )
        for tag, kind, n, value in tags
    )
    body = head + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    return body.ljust(200, b"\0") + values.astype(order + "u2").tobytes()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_colours_of_fewer_bits_in_sixteen_are_scaled_by_their_own_range(bits: int) -> None:
    values = np.array([[[0, 2**bits // 3, 2**bits - 1], [2**bits // 2, 0, 2**bits // 5]]])
    wanted = [[0, 85, 255], [128, 0, 51]]
    for data in (colour_png(values), colour_tiff(values, "<"), colour_tiff(values, ">")):
        assert np.allclose(np.asarray(read(data, LIMITS))[0], wanted, atol=1)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 0.5, 1.0003], [0, 128, 255]),
        ([-0.02, 0.5, 1.3], [0, 128, 255]),
        ([0, 100, 255], [0, 100, 255]),
        ([0, 100, 256.5], [0, 100, 255]),
        ([0, 819, 4095], [0, 51, 255]),
        ([0, 25700, 65535], [0, 100, 255]),
    ],
)
def test_floats_are_scaled_by_their_range(values: list[float], wanted: list[int]) -> None:
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert np.asarray(read(data, LIMITS))[0, :, 0].tolist() == wanted


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 70000.0])
def test_floats_that_are_no_pixels_are_refused(value: float) -> None:
    data = encoded(Image.fromarray(np.array([[0, value]], np.float32)), "TIFF")
    with pytest.raises(ImageUnreadable, match="8-bit"):
        read(data, LIMITS)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="bytes") as caught:
        read(b"x" * 11, Limits(max_bytes=10))
    assert (caught.value.size, caught.value.limit) == (11, 10)


def test_too_many_pixels_are_refused_from_the_header_alone() -> None:
    header = encoded(Image.new("1", (9000, 7000)), "PNG")[:100]  # no pixel is in these bytes
    with pytest.raises(ImageTooLarge, match="63,000,000 pixels"):
        read(header, LIMITS)


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(ImageTooLarge, match="more than"):
        read(encoded(Image.new("1", (20000, 20000)), "PNG")[:100], LIMITS)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7\n", b"\x00" * 64]
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match=r"JPEG,? (or )?PNG"):
        read(data, LIMITS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_image_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded(noise, kind)
    with pytest.raises((ImageUnreadable, NotAnImage)):
        read(data[: len(data) // 2], LIMITS)


def test_damaged_images_never_raise_anything_but_our_own_errors() -> None:
    rng = np.random.default_rng(6)
    originals = [encoded(half_red(), kind) for kind in KINDS]
    n_refused = 0
    for round_ in range(300):
        data = bytearray(originals[round_ % len(originals)])
        for offset in rng.integers(0, len(data), 6):
            data[offset] = rng.integers(0, 256)
        try:
            assert read(bytes(data), LIMITS).mode == "RGB"
        except (ImageUnreadable, NotAnImage, ImageTooLarge, ImageTooSlow):
            n_refused += 1
    assert n_refused > 0
