"""Odd, broken or hostile image files, as a service receives them. Each function returns the bytes of one."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from PIL.TiffImagePlugin import IFDRational

FACES = Path(__file__).resolve().parents[1] / "examples" / "faces"
EXIF_ORIENTATION = 0x0112
ROTATED_90_CLOCKWISE_TO_VIEW = 6


def photo(name: str) -> bytes:
    return (FACES / f"{name}.jpg").read_bytes()


def picture(name: str = "001-neutral") -> Image.Image:
    with Image.open(FACES / f"{name}.jpg") as opened:
        return ImageOps.exif_transpose(opened).convert("RGB")


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def plain(size: tuple[int, int] = (300, 300)) -> bytes:
    return saved(Image.new("RGB", size, (120, 140, 160)), "PNG")


def truncated_jpeg() -> bytes:
    whole = photo("001-smiling")
    return whole[: len(whole) // 2]


def one_pixel() -> bytes:
    return plain((1, 1))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + _chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """400 megapixels of one bit, real and well compressed: 50 KB."""
    side_px = 20_000
    rows = zlib.compress(b"\0" * (1 + side_px // 8) * side_px, 9)
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A small PNG whose compressed text unpacks to 100 MB."""
    text = b"Comment\0\0" + zlib.compress(b"\0" * 100_000_000, 9)
    whole = plain()
    end_of_header = 33
    return whole[:end_of_header] + _chunk(b"zTXt", text) + whole[end_of_header:]


def wrong_checksum() -> bytes:
    whole = bytearray(saved(picture(), "PNG"))
    whole[len(whole) // 2] ^= 0xFF
    return bytes(whole)


def animated_gif() -> bytes:
    frames = [picture().resize((450, 450)), Image.new("RGB", (450, 450))]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


def float_tiff(*, has_nan: bool) -> bytes:
    values = np.asarray(picture().convert("L"), np.float32) / 255
    if has_nan:
        values[10, 10] = np.nan
    return saved(Image.fromarray(values), "TIFF")


def cmyk_jpeg() -> bytes:
    return saved(picture().convert("CMYK"), "JPEG", quality=95)


def png_16_bit() -> bytes:
    return saved(Image.fromarray(np.asarray(picture().convert("L"), np.uint16) * 257), "PNG")


def palette_png() -> bytes:
    return saved(picture().convert("P", palette=Image.Palette.ADAPTIVE), "PNG")


def rgba_png() -> bytes:
    image = picture().convert("RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    return saved(image, "PNG")


def exif_rotated() -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED_90_CLOCKWISE_TO_VIEW
    return saved(picture().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def exif_nonsense() -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 4711
    exif[0x011A] = IFDRational(1, 0)
    return saved(picture(), "JPEG", exif=exif, quality=95)


def two_faces() -> bytes:
    left, right = picture("001-neutral"), picture("005-neutral").resize(picture("001-neutral").size)
    both = Image.new("RGB", (left.width * 2, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return saved(both, "JPEG", quality=95)


def blurred(sigma_px: float, name: str = "001-smiling") -> bytes:
    return saved(picture(name).filter(ImageFilter.GaussianBlur(sigma_px)), "PNG")


def webp() -> bytes:
    return saved(picture(), "WEBP", quality=90)


def with_bytes_behind() -> bytes:
    return photo("001-smiling") + b"PK\x03\x04 and something else" * 100


def one_row() -> bytes:
    return plain((20_000, 1))


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'
PDF = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n%%EOF"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"

# What a probe may be: name, bytes, status and code of the answer of POST /v1/verify beside a good reference.
Maker = Callable[[], bytes]
ODD_IMAGES: tuple[tuple[str, Maker, int, str | None], ...] = (
    ("empty file", lambda: b"", 415, "not_an_image"),
    ("text file", lambda: b"this is not an image", 415, "not_an_image"),
    ("null bytes", lambda: b"\0" * 5000, 415, "not_an_image"),
    ("SVG", lambda: SVG, 415, "not_an_image"),
    ("PDF", lambda: PDF, 415, "not_an_image"),
    ("EPS (PostScript)", lambda: EPS, 415, "not_an_image"),
    ("JPEG XL header", lambda: b"\xff\x0a" + b"\0" * 200, 415, "not_an_image"),
    ("HEIC header alone", lambda: HEIC, 422, "image_unreadable"),
    ("JPEG header alone", lambda: b"\xff\xd8\xff\xe0", 415, "not_an_image"),
    ("truncated JPEG", truncated_jpeg, 422, "image_unreadable"),
    ("PNG with an altered byte", wrong_checksum, 422, "image_unreadable"),
    ("PNG header claiming 60 megapixels", lambda: png_header(10_000, 6_000), 413, "image_too_large"),
    ("PNG header claiming 120 megapixels", lambda: png_header(12_000, 10_000), 413, "image_too_large"),
    ("PNG header claiming 10^18 pixels", lambda: png_header(10**9, 10**9), 413, "image_too_large"),
    ("decompression bomb, 400 megapixels in 50 KB", bomb, 413, "image_too_large"),
    ("PNG with 100 MB of compressed text", text_bomb, 422, "image_unreadable"),
    ("1 x 1 pixel", one_pixel, 422, "no_face"),
    ("20,000 x 1 pixels", one_row, 422, "no_face"),
    ("no face", plain, 422, "no_face"),
    ("two faces", two_faces, 422, "several_faces"),
    ("float TIFF with NaN", lambda: float_tiff(has_nan=True), 422, "image_unreadable"),
    ("float TIFF", lambda: float_tiff(has_nan=False), 200, None),
    ("animated GIF", animated_gif, 200, None),
    ("CMYK JPEG", cmyk_jpeg, 200, None),
    ("16-bit PNG", png_16_bit, 200, None),
    ("palette PNG", palette_png, 200, None),
    ("PNG with transparency", rgba_png, 200, None),
    ("WebP", webp, 200, None),
    ("JPEG turned by EXIF", exif_rotated, 200, None),
    ("JPEG with nonsense EXIF", exif_nonsense, 200, None),
    ("JPEG with other bytes behind it", with_bytes_behind, 200, None),
)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
