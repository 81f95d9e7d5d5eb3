"""PBM, PGM and PPM files, rewritten where Pillow reads them number by number in Python: as bytes, after a short header.

That is where numbers are decimal, where the greatest value is unusual, and where the header is long. The values are
those that Pillow would read.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ImageUnreadable
from .image_structure import Tally

_BLANK = rb"(?:[ \t\n\v\f\r]|#[^\r\n]*+[\r\n])++"
_TOKEN = rb"([^ \t\n\v\f\r#]{1,10})"
_SIZE = re.compile(rb"(P[1-6f])(?=[ \t\n\v\f\r])%b%b%b%b" % (_BLANK, _TOKEN, _BLANK, _TOKEN))
_GREATEST = re.compile(_BLANK + _TOKEN)
_COMMENT = re.compile(rb"#[^\r\n]*+[\r\n]?")
_DIGITS_AND_BLANKS = b"0123456789 \t\n\v\f\r"
_BITS, _PLAIN, _COLOUR = (b"P1", b"P4"), (b"P1", b"P2", b"P3"), (b"P3", b"P6")
_MAX_8_BIT, _MAX_16_BIT = 255, 65535
_MOST_COMMENTS = 100_000  # among decimal numbers
_BROKEN = "the image is broken: it does not contain the numbers of a PGM or PPM file; save it as PNG and send that"


@dataclass(frozen=True, slots=True)
class _File:
    kind: bytes  # P1 to P6, or Pf with floats
    size: tuple[int, int]
    greatest: bytes  # value; for Pf a factor
    body: bytes

    @property
    def n_values(self) -> int:
        return self.size[0] * self.size[1] * (3 if self.kind in _COLOUR else 1)

    def header(self, kind: bytes, greatest: bytes) -> bytes:
        return b"%b %d %d %b%b" % (kind, *self.size, greatest, b"\n" if greatest else b"")


def is_pnm(data: bytes) -> bool:
    """Return whether Pillow would take a file for a PBM, PGM or PPM file by its first bytes."""
    return re.match(rb"P[0-6fy]", data) is not None


def readable_pnm(data: bytes) -> bytes:
    """Return the file as one that Pillow reads fast; without pixels if some are missing.

    Raises ImageUnreadable or ImageTooSlow.
    """
    file = _parsed(data)
    if file.kind in (b"P4", b"Pf") or (file.kind, file.greatest) in (
        (b"P5", b"255"),
        (b"P5", b"65535"),
        (b"P6", b"255"),
    ):
        return file.header(file.kind, file.greatest) + file.body
    greatest = 1 if file.kind in _BITS else _whole_number(file.greatest)
    if not 0 < greatest <= _MAX_16_BIT:
        raise ImageUnreadable(_BROKEN)
    top = _MAX_16_BIT if greatest > _MAX_8_BIT and file.kind not in _COLOUR else _MAX_8_BIT
    table = np.rint(np.arange(greatest + 1) / greatest * top).astype(np.uint8 if top == _MAX_8_BIT else ">u2")
    if file.kind in _BITS:
        table = table[::-1]  # 1 is black
    header = file.header(b"P6" if file.kind in _COLOUR else b"P5", b"%d" % top)
    return header + (table[_values(file, greatest)].tobytes() if file.n_values <= len(file.body) else b"")


def _parsed(data: bytes) -> _File:
    size = _SIZE.match(data)
    greatest = _GREATEST.match(data, size.end()) if size and size[1] not in _BITS else None
    end = greatest or size
    if size is None or end is None or (greatest is None and size[1] not in _BITS):
        raise ImageUnreadable(_BROKEN)
    sides = _whole_number(size[2]), _whole_number(size[3])
    return _File(size[1], sides, greatest[1] if greatest else b"", data[end.end() + 1 :])


def _whole_number(digits: bytes) -> int:
    if not digits.isdigit():
        raise ImageUnreadable(_BROKEN)
    return int(digits)


def _values(file: _File, greatest: int) -> NDArray[np.integer]:
    """The values of a file, in order; those above the greatest are clipped in bytes, and refused in decimal numbers."""
    if file.kind not in _PLAIN:
        kind = np.dtype(np.uint8 if greatest <= _MAX_8_BIT else ">u2")
        if file.n_values * kind.itemsize > len(file.body):
            raise ImageUnreadable(_BROKEN)
        clipped: NDArray[np.integer] = np.minimum(np.frombuffer(file.body, kind, file.n_values), greatest)
        return clipped
    n_comments = file.body.count(b"#")
    Tally().add("comments", _MOST_COMMENTS, n_comments)
    text = _COMMENT.sub(b"", file.body) if n_comments else file.body
    if text.translate(None, _DIGITS_AND_BLANKS):
        raise ImageUnreadable(_BROKEN)
    values = _decimal(text, file)
    if len(values) < file.n_values or values.max() > greatest:
        raise ImageUnreadable(_BROKEN)
    return values


def _decimal(text: bytes, file: _File) -> NDArray[np.integer]:
    if file.kind in _BITS:  # which need no blanks between them
        digits = np.frombuffer(text.translate(None, b" \t\n\v\f\r"), np.uint8)[: file.n_values]
        return digits - np.uint8(ord("0"))
    return np.fromstring(text.decode("ascii"), np.int64, sep=" ")[: file.n_values]
