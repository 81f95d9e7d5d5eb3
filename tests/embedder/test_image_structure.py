"""Small files that would keep a decoder busy for minutes: refused by their structure, and read just below the bound."""

import struct
import time
import zlib
from collections.abc import Callable

import pytest
from image_files import encoded, png_chunk
from PIL import Image

from embedder import ImageTooSlow, Limits
from embedder.image import decode_image

MOST_SECONDS = 3


def plain(kind: str, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    return encoded(Image.new("RGB", size, (90, 120, 140)), kind, **options)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(more: bytes) -> bytes:
    data = plain("JPEG")
    return data[:2] + more + data[2:]


def jpeg_of_scans(n: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """A progressive JPEG with n more scans, each of which says that it refines no block; 13 bytes for a small one."""
    data = plain("JPEG", size, progressive=True)
    table = segment(0xC4, b"\x10" + bytes([1, *[0] * 15, 0xE0]))  # code 0: a run of 2**14 blocks, and 14 bits more
    n_runs = -(-(size[0] // 8) * (size[1] // 8) // (2**15 - 1))
    bits = ("0" + "1" * 13 + "0") * n_runs
    bits += "1" * (-len(bits) % 8)
    runs = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    return data[:-2] + table + (segment(0xDA, b"\1\1\0\1\x3f\x10") + runs) * n + data[-2:]


def png_with(more: bytes, before: bytes = b"IDAT") -> bytes:
    data = plain("PNG")
    place = data.index(before) - 4
    return data[:place] + more + data[place:]


def gif_with(more: bytes) -> bytes:
    data = plain("GIF")
    place = 13 + 3 * (2 << (data[10] & 7))
    return data[:place] + more + data[place:]


def tiff(*more: tuple[int, int, int, bytes], rows: int = 64, n_strips: int = 1, compression: int = 1) -> bytes:
    """A grey TIFF of 64 by `rows` * `n_strips` px, with all strips in one place; `more` tags follow."""
    short, long = 3, 4
    offsets = struct.pack(f"<{n_strips}I", *[8] * n_strips)
    sizes = struct.pack(f"<{n_strips}I", *[64 * rows] * n_strips)
    tags = [
        *((256, long, 1, struct.pack("<I", 64)), (257, long, 1, struct.pack("<I", rows * n_strips))),
        *((258, short, 1, b"\x08\0"), (259, short, 1, struct.pack("<H", compression)), (262, short, 1, b"\1\0")),
        *((273, long, n_strips, offsets), (277, short, 1, b"\1\0"), (278, long, 1, struct.pack("<I", rows))),
        *((279, long, n_strips, sizes), *more),
    ]
    place, entries, rest = 8 + 2 + 12 * len(tags) + 4, b"", b""
    for number, kind, n, content in tags:
        where = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", place + len(rest))
        entries += struct.pack("<HHI", number, kind, n) + where
        rest += content if len(content) > 4 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rest + bytes(64 * rows)


def bmp_rle(width: int, height: int, body: bytes) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = b"".join(bytes((level, 255 - level, level, 0)) for level in range(256))
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body


def numbers(n: int) -> tuple[int, int, int, bytes]:
    return 60_000, 5, n, struct.pack("<II", 72, 1) * n


def exif_of(n: int) -> bytes:
    entries = struct.pack("<HHII", 282, 5, n, 26) + bytes(4)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entries + struct.pack("<II", 72, 1) * n


def jpeg2000(*, levels: int = 5, layers: int = 1, block: int = 4, precinct: int | None = None) -> bytes:
    """A JPEG 2000 file with another coding style than it was written in, which need not decode."""
    data = plain("JPEG2000", no_jp2=True)
    at = data.index(b"\xff\x52")
    size = int.from_bytes(data[at + 2 : at + 4])
    style = bytes((0 if precinct is None else 1, 0)) + struct.pack(">HBBBB", layers, 1, levels, block, block)
    style += b"\0\1" + (b"" if precinct is None else bytes([precinct * 17] * (levels + 1)))
    return data[:at] + segment(0x52, style) + data[at + 2 + size :]


def boxes(n: int, kind: bytes = b"free") -> bytes:
    return plain("AVIF") + (struct.pack(">I", 24) + kind + b"\2\0\0\0\0\1\0\0iovl\0\0\0\0") * n


SLOW: dict[str, tuple[Callable[[], bytes], str]] = {
    "scans": (lambda: jpeg_of_scans(501), "500 scans"),
    "scans of a large picture": (lambda: jpeg_of_scans(20, (8160, 6120)), "pixels in all its scans"),
    "segments": (lambda: jpeg_with(segment(0xFE, b"") * 4001), "4,000 segments"),
    "Exif in pieces": (lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + b"a") * 65), "64 segments of metadata"),
    "Photoshop's blocks": (lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\0") * 65), "64 segments of metadata"),
    "tables": (lambda: jpeg_with(segment(0xDB, (b"\0" + bytes(64)) * 1000) * 2), "bytes of tables"),
    "fill bytes": (lambda: jpeg_with(b"\xff" * 70_000), "bytes between its segments"),
    "no marker": (lambda: jpeg_with(b"\xff\xe0\0\2" + bytes(70_000)), "bytes between its segments"),
    "fractions in a JPEG": (lambda: jpeg_of_exif(20_001), "fractions in tags"),
    "PNG chunks": (lambda: png_with(png_chunk(b"abCd", b"") * 2001), "chunks of metadata"),
    "PNG texts": (lambda: png_with(png_chunk(b"tEXt", b"a\0b") * 2001), "chunks of metadata"),
    "PNG profiles": (lambda: png_with(png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2**20))) * 101), "compressed"),
    "PNG pieces": (lambda: png_with(png_chunk(b"IDAT", b"") * 50_001), "50,000 chunks"),
    "fractions in a PNG": (lambda: png_with(png_chunk(b"eXIf", exif_of(20_001)[6:])), "fractions in tags"),
    "GIF comments": (lambda: gif_with(b"!\xfe\1a\0" * 60_000), "blocks before its pixels"),
    "GIF junk": (lambda: gif_with(b"\1" * 100_001), "blocks before its pixels"),
    "BMP runs": (lambda: bmp_rle(7000, 7000, b"\1\5\0\0" * 7000), "pixels in run-length code"),
    "PGM comments": (lambda: b"P2 8 8 9 " + b"#\n" * 100_001 + b"1 " * 64, "100,000 comments"),
    "TIFF strips": (lambda: tiff(rows=1, n_strips=50_001), "50,000 strips"),
    "strips over strips": (
        lambda: tiff(rows=64).replace(struct.pack("<HHI", 273, 4, 1), b"\x11\1\4\0\x40\0\0\0"),
        "strips",
    ),
    "TIFF fractions": (lambda: tiff(numbers(20_001)), "fractions in tags"),
    "TIFF numbers": (lambda: tiff((301, 3, 300_001, bytes(600_002))), "numbers in tags"),
    "TIFF tags": (lambda: tiff(*[(1000 + n, 3, 1, b"\0\0") for n in range(2000)]), "2,000 tags"),
    "TIFF loop": (lambda: tiff((34665, 4, 1, struct.pack("<I", 8))), "2,000 tags"),
    "JPEG 2000 layers": (lambda: jpeg2000(layers=201), "200 layers"),
    "JPEG 2000 blocks": (lambda: jpeg2000(block=0), "code blocks"),
    "JPEG 2000 precincts": (lambda: jpeg2000(levels=0, precinct=4), "has precincts"),
    "AVIF boxes": (lambda: boxes(10_001), "10,000 boxes"),
    "overlays": (lambda: boxes(1, b"infe"), "overlays"),
}


def jpeg_of_exif(n: int) -> bytes:
    block = exif_of(n)
    pieces = [block[at : at + 65_000] for at in range(0, len(block), 65_000)]
    return jpeg_with(
        b"".join(segment(0xE1, piece if n == 0 else b"Exif\0\0" + piece) for n, piece in enumerate(pieces))
    )


@pytest.mark.parametrize("kind", SLOW)
def test_a_file_that_would_take_long_is_refused_at_once_and_told_why(kind: str) -> None:
    make, what = SLOW[kind]
    data = make()
    assert len(data) < 2**20
    start = time.process_time()
    with pytest.raises(ImageTooSlow, match=what):
        decode_image(data, Limits())
    assert time.process_time() - start < MOST_SECONDS / 10


READ: dict[str, Callable[[], bytes]] = {
    "scans": lambda: jpeg_of_scans(400),
    "scans of a large picture": lambda: jpeg_of_scans(5, (8160, 6120)),
    "segments": lambda: jpeg_with(segment(0xFE, b"a") * 3900),
    "Exif in pieces": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 60),
    "Photoshop's blocks": lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\1\1\0\0\0\0\0\0" * 5400) * 60),
    "restart markers": lambda: plain("JPEG", (4000, 3000)).replace(b"\xff\xd9", b"\xff\xd0" * 2**20 + b"\xff\xd9"),
    "fractions in a JPEG": lambda: jpeg_of_exif(19_000),
    "PNG texts": lambda: png_with(png_chunk(b"tEXt", b"a\0b") * 1900),
    "PNG profiles": lambda: png_with(png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2**20))) * 99),
    "PNG pieces": lambda: png_with(png_chunk(b"IDAT", b"") * 49_000),
    "GIF comments": lambda: gif_with(b"!\xfe\1a\0" * 30_000),
    "BMP runs": lambda: bmp_rle(1990, 1990, b"\1\5\0\0" * 1990 + b"\0\1"),
    "PGM comments": lambda: b"P2 8 8 9 " + b"#\n" * 99_000 + b"1 " * 64,
    "TIFF strips": lambda: tiff(rows=1, n_strips=49_000),
    "TIFF fractions": lambda: tiff(numbers(19_000)),
}


@pytest.mark.parametrize("kind", READ)
def test_a_file_just_below_the_bounds_is_read_within_seconds(kind: str) -> None:
    data = READ[kind]()
    start = time.process_time()
    decode_image(data, Limits())
    assert time.process_time() - start < MOST_SECONDS


def camera_jpeg() -> bytes:
    """A JPEG with all that cameras write: thumbnail, XMP in many pieces, large profile, second picture."""
    thumbnail = plain("JPEG", (160, 120), progressive=True)
    exif = Image.Exif()
    exif[0x0112], exif[0x927C] = 1, thumbnail * 20
    xmp = [segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)) for _ in range(250)]
    profile = [segment(0xE2, b"ICC_PROFILE\0" + bytes((n + 1, 200)) + bytes(10_000)) for n in range(200)]
    preview = [segment(0xE2, b"FPXR\0" + thumbnail * 10) for _ in range(20)]
    second = segment(0xE2, b"MPF\0" + bytes(80))
    more = (
        segment(0xE1, exif.tobytes()) + b"".join((*xmp, *profile, *preview, second)) + segment(0xED, b"Photoshop 3.0\0")
    )
    return jpeg_with(more) + b"\0" * 500 + plain("JPEG", (640, 480), progressive=True)


def test_what_cameras_and_programs_write_is_read() -> None:
    assert len(camera_jpeg()) < Limits().max_bytes
    assert decode_image(camera_jpeg(), Limits()).size == (64, 64)
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x/>" * 500_000)
    pieces = b"".join(png_chunk(b"tEXt", b"parameters\0" + bytes([97 + n]) * 50_000) for n in range(20))
    assert decode_image(png_with(text + pieces), Limits()).size == (64, 64)
    assert decode_image(gif_with(b"!\xff\x0bXMP DataXMP" + (b"\x40" + b"a" * 64) * 20_000 + b"\0"), Limits()).size == (
        64,
        64,
    )


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"tile": (64, 64)}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}])
def test_a_tiff_of_one_row_a_strip_is_read(mode: str, options: dict[str, str]) -> None:
    tags = {278: 1} if "tile" not in options and options.get("compression") != "jpeg" else {}
    data = encoded(Image.new(mode, (300, 8000), "grey"), "TIFF", tiffinfo=tags, **options)
    assert decode_image(data, Limits()).size == (300, 8000)


@pytest.mark.parametrize("precinct", [32, 64, 256])
def test_a_jpeg_2000_file_whose_precincts_are_halved_with_each_resolution_is_read(precinct: int) -> None:
    options = {"precinct_size": (precinct, precinct), "codeblock_size": (32, 32), "num_resolutions": 6}
    assert decode_image(plain("JPEG2000", (600, 500), **options), Limits()).size == (600, 500)
