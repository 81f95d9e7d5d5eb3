"""The structure of image files other than JPEG, walked before a decoder opens them: see image_structure.py.

PGM and PPM files are not here: pnm.py reads them in one pass, whatever they contain.
"""

import struct
from collections.abc import Callable, Iterator
from math import ceil

from .image_structure import TIFF_STARTS, Tag, Tally, check_exif, check_tags, tags_at, values_of


def check_container(data: bytes) -> None:
    """Count what an image file other than a JPEG consists of. Raises ImageTooSlow."""
    for starts, check in _CHECKS:
        if data.startswith(starts):
            check(data)
    if data[4:8] == b"ftyp":
        _check_boxes(data)


# Programs write a PNG in pieces of 8 or 32 kB, and text of any size; of compressed text, a few pieces.
_MOST_CHUNKS, _MOST_OTHER_CHUNKS, _MOST_COMPRESSED_CHUNKS = 50_000, 2000, 100
_MOST_TEXT = 8 * 2**20  # bytes; it may be Exif data, in hexadecimal digits
_PIXELS = (b"IDAT", b"fdAT", b"fcTL")


def _check_png(data: bytes) -> None:
    tally = Tally()
    for kind, start, end in _chunks(data, 8, ">I4s"):
        tally.add("chunks", _MOST_CHUNKS)
        tally.add("chunks of metadata", _MOST_OTHER_CHUNKS, kind not in _PIXELS)
        tally.add("compressed chunks of metadata", _MOST_COMPRESSED_CHUNKS, kind in (b"iCCP", b"zTXt", b"iTXt"))
        tally.add("bytes of text", _MOST_TEXT, (end - start) * (kind == b"tEXt"))
        if kind == b"eXIf":
            check_exif(data[start:end])
        if kind == b"IEND":
            return


def _chunks(data: bytes, at: int, head: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the contents of a file's chunks; `head` is how size and kind precede them."""
    is_png = head.startswith(">")
    while at + 8 <= len(data):
        first, second = struct.unpack_from(head, data, at)
        size, kind = (first, second) if is_png else (second, first)
        yield kind, at + 8, at + 8 + size
        at += 8 + size + (4 if is_png else size % 2)  # a checksum, or a byte that makes the size even


def _check_webp(data: bytes) -> None:
    tally = Tally()
    for kind, start, end in _chunks(data, 12, "<4sI"):
        tally.add("chunks", _MOST_CHUNKS)
        if kind == b"EXIF":
            check_exif(data[start:end])


_MOST_BLOCKS = 100_000  # before the pixels of a GIF: comments of 25 MB


def _check_gif(data: bytes) -> None:
    at = 13 + (3 << (data[10] & 7) + 1 if data[10:11] > b"\x7f" else 0)
    tally, is_extension = Tally(), False
    while at < len(data):
        size = data[at]
        tally.add("blocks before its pixels", _MOST_BLOCKS)
        if is_extension:
            at, is_extension = at + 1 + size, size > 0
        elif size in b",;":
            return
        else:
            is_extension = size == ord("!")
            at += 1 + is_extension


_MOST_RLE = 4_000_000  # pixels and bytes; each takes Pillow up to 0.4 µs
_RLE = (1, 2)


def _check_bmp(data: bytes) -> None:
    if len(data) >= 34 and int.from_bytes(data[14:18], "little") >= 40:  # noqa: PLR2004 - with the field below
        width, height, compression = struct.unpack_from("<ii4xI", data, 18)
        if compression in _RLE:
            Tally().add("pixels in run-length code", _MOST_RLE, abs(width * height) + len(data))


_WIDTH, _HEIGHT, _COMPRESSION, _SAMPLES, _ROWS, _PLANAR = 256, 257, 259, 277, 278, 284  # tags of TIFF
_STRIP_OFFSETS, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 273, 322, 323, 324
_LZMA, _JPEGS = 34925, (6, 7)
_MOST_STRIPS = 50_000  # Pillow takes 9 µs for each; a strip of one row is usual
_FEW_STRIPS = 16
_MOST_LZMA = 10_000_000  # pixels; up to 0.1 µs for each
_JPEG_SCAN = b"\xff\xda"
_MOST_MORE_SCANS = 16  # beyond one for each strip


def _check_tiff(data: bytes) -> None:
    check_tags(data)
    order, tags = tags_at(data)
    of = {tag.number: tag for tag in reversed(tags)}  # the first of its number counts

    def first(number: int, default: int) -> int:
        return next(iter(values_of(order, of[number])), default) if number in of else default

    width, height, samples = first(_WIDTH, 1), first(_HEIGHT, 1), first(_SAMPLES, 1)
    across, down = first(_TILE_WIDTH, width), first(_TILE_HEIGHT, first(_ROWS, height))
    tally, n_strips = Tally(), max(_n_values(of.get(_STRIP_OFFSETS)), _n_values(of.get(_TILE_OFFSETS)))
    n_usual = ceil(width / max(1, across)) * ceil(height / max(1, down)) * max(1, samples)
    tally.add("strips", min(_MOST_STRIPS, 2 * n_usual + _FEW_STRIPS), n_strips)
    if first(_COMPRESSION, 1) in _JPEGS:
        tally.add("scans", n_strips + _MOST_MORE_SCANS, data.count(_JPEG_SCAN))
    tally.add("pixels in LZMA code", _MOST_LZMA, width * height * (first(_COMPRESSION, 1) == _LZMA))
    tally.add("pixels in a tile", 4 * width * height + 2**24, across * first(_TILE_HEIGHT, 1))


def _n_values(tag: Tag | None) -> int:
    return 0 if tag is None or not tag.content else tag.n


# JPEG 2000: markers, and what a codestream may consist of
_SIZES, _CODING, _CODING_OF_COMPONENT, _TILE_PART, _PIXELS_START = b"\x51", b"\x52", b"\x53", b"\x90", b"\x93"
_END = b"\xd9"
_MOST_TILES, _USUAL_TILE, _MOST_SEGMENTS, _MOST_LAYERS = 4096, 2**12, 20_000, 200
_LEAST_BLOCK, _LEAST_PRECINCT = 8, 5  # log2 of a code block's area, and of a precinct's side in px of the whole


def _check_jpeg2000(data: bytes) -> None:
    at, part_end, tally = max(data.find(b"\xff\x4f\xff\x51"), 0) + 2, len(data), Tally()
    while data[at : at + 1] == b"\xff":
        marker, size = data[at + 1 : at + 2], _number(data, at + 2, 2)
        content = data[at + 4 : at + 2 + size]
        tally.add("segments", _MOST_SEGMENTS)
        if marker == _SIZES:
            _check_tiles(content)
        elif marker == _CODING:
            tally.add("layers", _MOST_LAYERS, _number(content, 2, 2))
            _check_blocks(content[5:], has_precincts=_number(content, 0, 1) % 2 == 1)
        elif marker == _CODING_OF_COMPONENT:
            _check_blocks(content[2:], has_precincts=_number(content, 1, 1) % 2 == 1)
        elif marker == _TILE_PART:
            part_end = at + _number(content, 2, 4) if any(content[2:6]) else len(data)
        at = part_end if marker == _PIXELS_START else at + 2 + size


def is_whole_jpeg2000(data: bytes) -> bool:
    """Return whether the end of the codestream follows the last part of a tile; OpenJPEG leaves out what is missing."""
    return data.rfind(b"\xff" + _END) > data.rfind(b"\xff" + _TILE_PART)  # neither occurs in the data of a tile


def _number(data: bytes, at: int, n_bytes: int) -> int:
    return int.from_bytes(data[at : at + n_bytes])


def _check_tiles(sizes: bytes) -> None:
    right, bottom, _, _, width, height, left, top = (_number(sizes, 2 + 4 * place, 4) for place in range(8))
    n_tiles = ceil((right - left) / max(1, width)) * ceil((bottom - top) / max(1, height))
    Tally().add("tiles", _MOST_TILES + right * bottom // _USUAL_TILE, n_tiles)


def _check_blocks(style: bytes, *, has_precincts: bool) -> None:
    """Check a coding style from its number of decompositions on: code blocks, then precincts of each resolution."""
    area = sum(value + 2 for value in style[1:3])
    halved = range(style[0] if style else 0, -1, -1)  # how often a resolution is halved; the first one most often
    sides = [min(each % 16, each // 16) + n for each, n in zip(style[5:], halved, strict=False)]
    is_small = has_precincts and min(sides, default=_LEAST_PRECINCT) < _LEAST_PRECINCT
    Tally().add("code blocks of less than 256 pixels", 0, int(area < _LEAST_BLOCK))
    Tally().add("precincts of less than 32 pixels", 0, int(is_small))


# AVIF and HEIF
_CONTAINERS = dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp", b"ipco"), 0)
_CONTAINERS |= {b"meta": 4, b"iref": 4, b"iinf": 6}  # bytes before the first box inside
_MOST_BOXES, _MOST_LOCATIONS = 10_000, 2**18  # cameras write up to 1,000 boxes, and 10 kB of places
_LARGE_BOX = 8  # bytes that state the size of a box of more than 4 GiB


def _check_boxes(data: bytes) -> None:
    tally, pending = Tally(), [(0, len(data))]
    while pending:
        at, end = pending.pop()
        while at + 8 <= end:
            size, kind = _number(data, at, 4), data[at + 4 : at + 8]
            start = at + 8 + _LARGE_BOX * (size == 1)
            after = end if size == 0 else at + (_number(data, at + 8, _LARGE_BOX) if size == 1 else size)
            tally.add("boxes", _MOST_BOXES)
            tally.add("bytes of places", _MOST_LOCATIONS, (min(after, end) - start) * (kind in (b"iloc", b"ipma")))
            tally.add("overlays", 0, int(kind == b"infe" and b"iovl" in data[start : start + 16]))
            if kind in _CONTAINERS:
                inside = start + _CONTAINERS[kind] + 2 * (kind == b"iinf" and data[start : start + 1] > b"\0")
                pending.append((inside, min(after, end)))
            at = max(after, start)


_CHECKS: tuple[tuple[tuple[bytes, ...], Callable[[bytes], None]], ...] = (
    ((b"\x89PNG\r\n\x1a\n",), _check_png),
    ((b"GIF8",), _check_gif),
    ((b"BM",), _check_bmp),
    ((b"RIFF",), _check_webp),
    (TIFF_STARTS, _check_tiff),
    ((b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), _check_jpeg2000),
)
