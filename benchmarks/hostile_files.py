"""Files and bodies that are small, or within all limits, and made to cost much: for abuse.py."""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

FACES = Path(__file__).parents[1] / "examples" / "faces"
MIB = 2**20
MOST_BYTES = 19 * MIB  # of an image: a little less than the limit
SIDE = 7000  # 49 megapixels
GALLERY = "crowd"  # abuse.py fills it
ENROLLED = ("001-neutral", "001-smiling")


def face(name: str = "001-neutral") -> bytes:
    return (FACES / f"{name}.jpg").read_bytes()


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@cache
def large(kind: str, mode: str = "RGB", side: int = SIDE) -> bytes:
    """A picture of noise in blocks, of 49 megapixels: it fills memory, and its file stays small."""
    noise = np.random.default_rng(0).integers(0, 256, (side // 100, side // 100, 3), np.uint8)
    picture = Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST)
    if mode == "I;16":
        return encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 256), kind)
    return encoded(picture.convert(mode), kind)


def enlarged(name: str, side: int = 3900) -> bytes:
    """One of the example faces in a picture of 15 megapixels, of which a request may have 16."""
    return encoded(Image.open(FACES / f"{name}.jpg").resize((side, side)), "JPEG", quality=60)


def progressive_scans(n_bytes: int = MOST_BYTES) -> bytes:
    """A progressive JPEG with thousands of scans that refine nothing."""
    data = encoded(Image.new("L", (4000, 4000), 128), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    end = data.index(b"\xff\xd9", at)
    last = data[at:end]
    return data[:end] + last * ((n_bytes - len(data)) // len(last)) + b"\xff\xd9"


def tiny_segments(n_bytes: int = MOST_BYTES) -> bytes:
    """A JPEG with millions of Exif segments of a few bytes."""
    data, segment = face(), b"\xff\xe1\x00\x08Exif\x00\x00"
    return data[:2] + segment * ((n_bytes - len(data)) // len(segment)) + data[2:]


def comments(n_bytes: int = MOST_BYTES) -> bytes:
    """A plain PGM whose header is comments."""
    return b"P2\n" + b"#\n" * ((n_bytes - 40) // 2) + b"2 2\n255\n0 0 0 0\n"


def strips(n: int = 10**6) -> bytes:
    """A TIFF of a million strips of one row."""
    entries = [
        (256, 4, 1, 4),
        (257, 4, 1, n),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (278, 4, 1, 1),
    ]
    at = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries = sorted([*entries, (273, 4, n, at), (279, 4, n, at + 4 * n)])
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return (
        b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<I", at + 8 * n) * n + struct.pack("<I", 4) * n + bytes(64)
    )


def fax(n_rows: int = 20_000) -> bytes:
    """A TIFF whose fax codes are wrong in every row, about which libtiff writes a line each."""
    data = bytearray(encoded(Image.new("1", (1000, n_rows)), "TIFF", compression="group3"))
    generator = np.random.default_rng(0)
    body = generator.integers(0, 256, len(data) - 400, np.uint8).tobytes()
    data[8 : 8 + len(body)] = body
    return bytes(data)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int, content: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + content + png_chunk(b"IEND", b"")


def png_text_bomb() -> bytes:
    """A PNG with compressed texts of 100 MB each."""
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 * MIB), 9))
    return png_of(100, 100, text * 40 + png_chunk(b"IDAT", zlib.compress(bytes(100 * 301))))


def crowd(columns: int, rows: int, *, is_framed: bool = False) -> bytes:
    """A picture of many faces; framed: with some at its edges, cut in two."""
    one = Image.open(io.BytesIO(face())).convert("RGB").crop((150, 100, 450, 480)).resize((60, 76))
    picture = Image.new("RGB", (60 * columns, 76 * rows), "white")
    for k in range(columns * rows):
        picture.paste(one, (60 * (k % columns) - 30 * is_framed, 76 * (k // columns)))
    return encoded(picture, "JPEG", quality=85)


def texture() -> bytes:
    """Noise at the scale of eyes and mouths, which a detector takes long to reject."""
    noise = np.random.default_rng(1).integers(0, 256, (80, 80, 3), np.uint8)
    return encoded(Image.fromarray(noise).resize((2000, 2000), Image.Resampling.BICUBIC), "JPEG")


def unknown_keys(n_bytes: int) -> bytes:
    n = n_bytes // 10
    return b"{" + b",".join(b'"%06x":1' % k for k in range(n)) + b"}"


def bodies() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """JSON bodies: what it is, the route, and what makes it."""
    yield "26 MB of unknown keys", "/v1/verify", lambda: unknown_keys(26 * MIB)
    yield "80 MB of unknown keys", "/v1/verify/many", lambda: unknown_keys(80 * MIB)
    yield "one key of 28 MB", "/v1/verify", lambda: b'{"' + b"a" * 28 * MIB + b'":1}'
    yield "base64 with a blank after each character", "/v1/verify", lambda: _verify_json("A " * 13 * MIB)
    yield "25 million zeros as an embedding", "/v1/embeddings/compare", lambda: _vector_json("0," * 12_500_000 + "0")
    yield "nested 10 million deep", "/v1/verify", lambda: b'{"probe":' + b"[" * 10_000_000
    yield "a number of 20 million digits", "/v1/embeddings/compare", lambda: _vector_json("1" * 20_000_000)
    yield "4 million escapes", "/v1/verify", lambda: _verify_json("\\u0041" * 4_000_000)


def _verify_json(text: str) -> bytes:
    return b'{"probe":"%s","reference":"AAAA"}' % text.encode()


def _vector_json(numbers: str) -> bytes:
    return (
        json.dumps({"model_digest": "sha256:0", "references": [[0.0] * 128]})[:-1].encode()
        + b',"probe":[%s]}' % numbers.encode()
    )


def images() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Images, to be compared with a face: what it is, and what makes it."""
    yield "a photo of a face, for comparison", lambda: face("001-smiling")
    yield "progressive JPEG with empty scans, 19 MiB", progressive_scans
    yield "JPEG with 1.9 million Exif segments", tiny_segments
    yield "PGM with 10 million comment lines", comments
    yield "TIFF of a million strips", strips
    yield "TIFF with wrong fax codes", fax
    yield "PNG with 40 texts of 100 MB", png_text_bomb
    yield (
        "PNG that claims 60,000 x 60,000 px",
        lambda: png_of(60_000, 60_000, png_chunk(b"IDAT", zlib.compress(bytes(1000)))),
    )
    yield (
        "PNG that claims 7,000 x 7,000 px and ends",
        lambda: png_of(SIDE, SIDE, png_chunk(b"IDAT", zlib.compress(bytes(1000)))),
    )
    yield "JPEG of 49 megapixels", lambda: large("JPEG")
    yield "PNG of 49 megapixels", lambda: large("PNG")
    yield "PNG of 49 megapixels in 16 bits", lambda: large("PNG", "I;16")
    yield "TIFF of 4 megapixels in floats", lambda: encoded(Image.new("F", (2000, 2000)), "TIFF")
    yield "WebP of 49 megapixels", lambda: large("WEBP")
    yield "JPEG 2000 of 16 megapixels", lambda: large("JPEG2000", "RGB", 4000)
    yield "240 faces, some at the edge", lambda: crowd(20, 12, is_framed=True)
    yield "1,452 faces", lambda: crowd(44, 33)
    yield "noise like eyes and mouths", texture


def batches() -> Iterator[tuple[str, str, Callable[[], list[tuple[str, bytes]]]]]:
    """Requests with many images or much to compute: what it is, the route, and what makes its parts."""
    people = [("reference", face("001-smiling"))] * 16
    yield "16 references", "/v1/verify/many", lambda: [("probe", face()), *people]
    yield (
        "16 references with 240 faces each",
        "/v1/verify/many",
        lambda: [("probe", face()), *[("reference", crowd(20, 12, is_framed=True))] * 16],
    )
    yield "all faces of a picture with 240", "/v1/embeddings?face=all", lambda: [("image", crowd(20, 12))]
    yield (
        "everybody in a picture with 192 faces, 100 candidates each",
        f"/v1/galleries/{GALLERY}/identify?face=all&limit=100",
        lambda: [("probe", crowd(16, 12))],
    )
    yield (
        "16 photos to enrol",
        f"/v1/galleries/{GALLERY}/people/p/photos",
        lambda: [("image", face(name)) for name in ENROLLED] * 8,
    )
    yield (
        "16 photos to enrol, with as many pixels as a request may have",
        f"/v1/galleries/{GALLERY}/people/p/photos",
        lambda: [("image", enlarged(name)) for name in ENROLLED] * 8,
    )
    yield "an explanation", "/v1/explain", lambda: [("probe", face()), people[0]]
    yield "maps of a layer", "/v1/maps?layer=conv6", lambda: [("image", face())]
