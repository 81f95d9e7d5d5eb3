"""The structure of JPEG files and of Exif data, walked before a decoder reads them; and where a JPEG ends.

A few bytes can make a decoder work for minutes: a scan, a segment, a tag. They are counted here, and a file with far
more of them than cameras and programs write is refused. What is merely broken is left to the decoder.
"""

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .errors import ImageTooSlow


class Tally:
    """What a file contains, counted by kind. Not thread-safe."""

    def __init__(self) -> None:
        self._n: Counter[str] = Counter()

    def add(self, what: str, limit: int, n: int = 1) -> None:
        """Count `n` more. Raises ImageTooSlow if there are more than `limit`."""
        self._n[what] += n
        if self._n[what] > limit:
            more = f"more than {limit:,} " if limit else ""
            raise ImageTooSlow(
                f"the image would take too long to decode, because it has {more}{what}; save it as an ordinary JPEG or "
                "PNG and send that"
            )


# TIFF files and Exif data: directories of tags.
TIFF_STARTS = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
_SIZE_OF = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes, by type
_FRACTIONS = (5, 10)  # types of which Pillow makes objects, one by one; of those below as well, but faster
_NUMBERS = (3, 4, 6, 8, 9, 11, 12, 13, 16)
_SUB_DIRECTORIES = (34665, 34853, 40965)  # tags: Exif, GPS, interoperability
_MOST_TAGS, _MOST_NUMBERS, _MOST_FRACTIONS = 2000, 300_000, 20_000  # cameras write up to 200, 1,000 and 100


class Tag(NamedTuple):
    """One tag of a directory: its number, its type, the number of its values, and their bytes as far as there are."""

    number: int
    kind: int
    n: int
    content: bytes


def tags_at(data: bytes, offset: int | None = None) -> tuple[str, list[Tag]]:
    """Return the byte order, < or >, and the tags of a directory of a TIFF file, by default of the first one.

    There are no tags if there is no directory. Raises ImageTooSlow if there are too many tags.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:3] == b"+"  # BigTIFF, as Pillow tells it
    count, entry, field = (order + kind for kind in (("Q", "HHQ8s", "Q") if is_big else ("H", "HHI4s", "I")))
    try:
        at = struct.unpack_from(field, data, 8 if is_big else 4)[0] if offset is None else offset
        (n_tags,) = struct.unpack_from(count, data, at)
    except (struct.error, OverflowError):
        return order, []
    Tally().add("tags", _MOST_TAGS, n_tags)
    start, step = at + struct.calcsize(count), struct.calcsize(entry)
    rest = data[start : start + step * n_tags]
    return order, [_tag(data, field, each) for each in struct.iter_unpack(entry, rest[: len(rest) // step * step])]


def _tag(data: bytes, field: str, entry: tuple[int, int, int, bytes]) -> Tag:
    number, kind, n, value = entry
    size = n * _SIZE_OF.get(kind, 1)
    if size <= len(value):
        return Tag(number, kind, n, value[:size])
    (at,) = struct.unpack(field, value)
    return Tag(number, kind, n, data[at : at + size])


def values_of(order: str, tag: Tag) -> list[int]:
    """Return the values of a tag of type SHORT, LONG or LONG8; empty if it is of another type or broken."""
    letter = {3: "H", 4: "I", 13: "I", 16: "Q"}.get(tag.kind)
    if letter is None or len(tag.content) != tag.n * _SIZE_OF[tag.kind]:
        return []
    return list(struct.unpack(f"{order}{tag.n}{letter}", tag.content))


def check_tags(data: bytes) -> None:
    """Check the directories of a TIFF file, or of Exif data from their TIFF header on. Raises ImageTooSlow."""
    tally = Tally()
    pending: list[int | None] = [None]
    while pending and data.startswith(TIFF_STARTS):
        order, tags = tags_at(data, pending.pop())
        tally.add("tags", _MOST_TAGS, max(1, len(tags)))
        for tag in tags:
            n_values = len(tag.content) // _SIZE_OF.get(tag.kind, 1)
            tally.add("fractions in tags", _MOST_FRACTIONS, n_values * (tag.kind in _FRACTIONS))
            tally.add("numbers in tags", _MOST_NUMBERS, n_values * (tag.kind in _NUMBERS))
            pending += values_of(order, tag) if tag.number in _SUB_DIRECTORIES and tag.n == 1 else []


_EXIF_START = re.compile(rb"(Exif\0\0){0,2}")


def check_exif(block: bytes) -> None:
    """Check Exif data as they are in a file, with or without the word Exif. Raises ImageTooSlow."""
    start = _EXIF_START.match(block)
    check_tags(block[start.end() if start else 0 :])


JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_SEQUENTIAL = (0xC0, 0xC1)  # frames with Huffman codes that are not progressive
_ARITHMETIC = (0xC9, 0xCA)
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SCAN, _END, _TABLES = 0xDA, 0xD9, 0xDB
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xDA))
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)  # the others are part of the pixels
_SLOW_SEGMENTS = (b"Exif\0\0", b"Photoshop 3.0\0")  # Pillow appends the first, and reads the second in small steps
# Cameras write up to 300 segments (depth maps as XMP), programs up to 20 scans.
_MOST_SEGMENTS, _MOST_SLOW_SEGMENTS, _MOST_PADDING, _MOST_TABLES = 4000, 64, 2**16, 2**16
_MOST_SCANS, _MOST_SCANNED = 500, 800_000_000  # 16 scans of 50 megapixels; a pixel takes up to 1 ns in each
_ARITHMETIC_COST = 100  # a pixel with arithmetic codes, which cameras do not write, counts as so many
_MOST_REPEATED, _MOST_BYTES_REPEATED = 100_000_000, 4 * 2**20  # of a JPEG that is decoded to find its end


class _Segment(NamedTuple):
    marker: int
    at: int  # where the marker is
    end: int
    n_padding: int  # bytes before it that belong to no segment


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments of a JPEG, up to its end marker, as decoders find them. A scan ends before its pixels."""
    end, pattern = 2, _MARKER
    while end < len(data):
        found = pattern.search(data, end, end + _MOST_PADDING if pattern is _MARKER else len(data))
        if found is None:  # the marker is 0, which is none
            yield _Segment(0, end, len(data), len(data) - end if pattern is _MARKER else 0)
            return
        at, marker = found.start(), data[found.start() + 1]
        n_padding = at - end if pattern is _MARKER else 0
        end = at + 2 + (0 if marker in _WITHOUT_LENGTH else max(2, int.from_bytes(data[at + 2 : at + 4])))
        yield _Segment(marker, at, end, n_padding)
        if marker == _END:
            return
        pattern = _MARKER_IN_SCAN if marker == _SCAN else _MARKER


def _before_scan(data: bytes) -> tuple[list[_Segment], int]:
    """The frames of a JPEG that precede its first scan, usually one, and the place of that scan; 0 if there is none."""
    frames: list[_Segment] = []
    for _, segment in zip(range(_MOST_SEGMENTS), _segments(data), strict=False):
        if segment.marker == _SCAN:
            return frames, segment.at
        if segment.marker in _FRAMES:
            frames.append(segment)
    return frames, 0


def is_decoded_by_rows(data: bytes) -> bool:
    """Return whether libjpeg keeps a few rows of this JPEG in memory, not the coefficients of the whole picture.

    That is so if it is sequential and its first scan contains all components. False if its structure is unusual.
    """
    frames, scan = _before_scan(data)
    if [frame.marker in _SEQUENTIAL for frame in frames] != [True] or not scan:
        return False
    at = frames[0].at
    return data[at + 9 : at + 10] == data[scan + 4 : scan + 5]  # their numbers of components


def check_jpeg(data: bytes) -> None:
    """Count what a JPEG consists of. Raises ImageTooSlow."""
    tally, exif = Tally(), b""
    cost, is_short = 0, is_decoded_by_rows(data)
    for segment in _segments(data):
        tally.add("bytes between its segments", _MOST_PADDING, segment.n_padding)
        if segment.marker == _SCAN:
            if is_short:  # nothing is read after the pixels of the first scan
                break
            tally.add("scans", _MOST_SCANS)
            tally.add("pixels in all its scans", _MOST_SCANNED, cost)
            continue
        content = data[segment.at + 4 : segment.end]
        tally.add("segments", _MOST_SEGMENTS)
        tally.add("bytes of tables", _MOST_TABLES, len(content) if segment.marker == _TABLES else 0)
        tally.add("segments of metadata", _MOST_SLOW_SEGMENTS, int(content.startswith(_SLOW_SEGMENTS)))
        exif += content[len(_SLOW_SEGMENTS[0]) :] if content.startswith(_SLOW_SEGMENTS[0]) else b""
        cost = max(cost, _cost(data, segment))
    check_exif(exif)


def _cost(data: bytes, segment: _Segment) -> int:
    """The pixels of a scan of this frame, and more if they take longer than usual; 0 if it is no frame."""
    if segment.marker not in _FRAMES:
        return 0
    height, width = (int.from_bytes(data[segment.at + place : segment.at + place + 2]) for place in (5, 7))
    return width * height * (_ARITHMETIC_COST if segment.marker in _ARITHMETIC else 1)


def _is_slow(data: bytes) -> bool:
    """Whether a JPEG takes too long to be decoded several times."""
    if is_decoded_by_rows(data):
        return False
    n_scans = sum(segment.marker == _SCAN for segment in _segments(data))
    cost = max((_cost(data, frame) for frame in _before_scan(data)[0]), default=0)
    return n_scans * cost > _MOST_REPEATED or len(data) > _MOST_BYTES_REPEATED


_FILLER = b"\xff\x00"  # what a file that was not written to its end is filled up with
_NOT_FILLER = 2  # so many of these bytes may be the last of the pixels
_TIGHT = 8  # bytes; without so many at its end, a file that has no filler is not complete
_NOISE = np.random.default_rng(0).integers(0, 0xFF, 256, np.uint8).tobytes()  # without FF, which begins a marker


def ended_jpeg(data: bytes, draw: Callable[[bytes], bytes | None]) -> bytes | None:
    """Return a JPEG with its end marker, which is added if it is missing; None if pixels are missing as well.

    `draw` decodes a JPEG to comparable bytes; None if it cannot. No pixels are missing if the picture does not change
    when noise follows the last byte, in the place of what might have been cut off. Zeros that fill up the file are not
    taken for pixels. A file that takes too long to be decoded again counts as one without its last pixels.
    """
    if data.rfind(JPEG_END, _before_scan(data)[1]) >= 0:
        return data
    if _is_slow(data):
        return None
    kept = data[: len(data.rstrip(_FILLER)) + _NOT_FILLER].rstrip(b"\xff")
    if _is_complete(kept, draw):
        return kept + JPEG_END
    is_plain = kept != data and _is_complete(data, draw) and not _is_complete(data[:-_TIGHT], draw)
    return data + JPEG_END if is_plain else None  # the code of a plain ground may be all zeros


def lacks_pixels(data: bytes, draw: Callable[[bytes], bytes | None]) -> bool:
    """Return whether the end marker of a JPEG comes before the last of its pixels; `draw` is as above.

    False, unknown, if the file takes too long to be decoded again.
    """
    end = data.find(JPEG_END, _before_scan(data)[1])
    return not _is_slow(data) and not _is_complete(data[:end], draw)


def _is_complete(data: bytes, draw: Callable[[bytes], bytes | None]) -> bool:
    whole = draw(data + JPEG_END)
    return whole is not None and draw(data + _noisy_rest(data) + JPEG_END) == whole


def _noisy_rest(data: bytes) -> bytes:
    """Noise, then noise after each restart marker, starting with the one that would be next."""
    markers = [bytes((0xFF, 0xD0 + number)) for number in range(8)]
    places = [data.rfind(marker) for marker in markers]
    following = places.index(max(places)) + 1 if max(places) >= 0 else 0
    return _NOISE + b"".join(marker + _NOISE for marker in (*markers[following:], *markers[:following]))
