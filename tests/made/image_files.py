"""Pictures as the bytes of image files."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The picture in a format that Pillow writes, such as "PNG"; with Pillow's options."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file, with its size and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of_16_bits(size: tuple[int, int], rows: bytes) -> bytes:
    """A PNG of 16 bits for each colour, which Pillow does not write; each row begins with the number of its filter."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
