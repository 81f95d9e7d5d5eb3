"""The members of a tar archive, with the place of each, by the headers alone. Nothing is unpacked.

The standard library's `tarfile` takes damage for the end of an archive, and reads headers of any length that an archive
claims; tests compare the two on sound archives of all formats.
"""

import errno
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

BLOCK = 512
MAX_EXTENSION = 2**16  # bytes of a long name, or of the attributes of a member
MAX_EXTENSIONS = 8  # before one member
MAX_DIGITS = 20
_FILE, _LONG_NAME, _ATTRIBUTES, _SPARSE = b"0\0007", b"L", b"x", b"S"
_EXTENSIONS = _LONG_NAME + _ATTRIBUTES + b"Kg"  # long names of links, and attributes of all members, do not matter
_WITHOUT_CONTENT = b"123456"  # links, devices and folders, whatever size they claim


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive."""

    name: str
    offset: int  # of its content, in bytes
    size: int  # in bytes
    is_file: bool  # else a folder, link, device or sparse file


class DamagedTar(OSError):
    """An archive cannot be read further."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(errno.EINVAL, f"the archive is damaged at byte {at:,}: {why}")


def members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the members in their order, in bounded memory. Raises DamagedTar, OSError."""
    n_bytes, at = file.seek(0, os.SEEK_END), 0
    while True:
        member, at = _next(file, at, n_bytes)
        if member is None:
            return
        yield member


@dataclass(frozen=True, slots=True)
class _Extensions:
    """What the headers before a member say of it."""

    name: bytes | None = None
    size: int | None = None
    is_sparse: bool = False


def _next(file: IO[bytes], at: int, n_bytes: int) -> tuple[Member | None, int]:
    """The member at a place, or None at the end; and the place after it."""
    extensions = _Extensions()
    for _ in range(MAX_EXTENSIONS + 1):
        header = _read(file, at, BLOCK)
        if not any(header):
            return None, at
        kind, size = _checked(header, at)[156:157], _number(header[124:136], at)
        if kind not in _EXTENSIONS and extensions.size is not None:
            size = extensions.size
        content = 0 if kind in _WITHOUT_CONTENT else size
        after = at + BLOCK + -(-content // BLOCK) * BLOCK
        if at + BLOCK + content > n_bytes:
            raise DamagedTar(at, f"{content:,} bytes should follow, {n_bytes - at - BLOCK:,} do")
        if kind not in _EXTENSIONS:
            return _member(header, at + BLOCK, size, extensions), after
        extensions = _extended(extensions, kind, _extension(file, at, size), at)
        at = after
    raise DamagedTar(at, f"more than {MAX_EXTENSIONS} headers for one member")


def _member(header: bytes, offset: int, size: int, extensions: _Extensions) -> Member:
    name, kind = extensions.name or _name(header), header[156:157]
    is_file = kind in _FILE and not name.endswith(b"/") and not extensions.is_sparse
    return Member(os.fsdecode(name), offset, size, is_file)


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise DamagedTar(at, "it ends without an end mark")
    return data


def _checked(header: bytes, at: int) -> bytes:
    """A header whose checksum is right, of signed bytes as old programs wrote it, or of unsigned ones."""
    others = header[:148] + b" " * 8 + header[156:]
    told = _number(header[148:156], at)
    if told != sum(others) and told != sum(array("b", others)):
        raise DamagedTar(at, "no header of a member")
    if header[156:157] == _SPARSE:
        raise DamagedTar(at, "a sparse file of GNU tar, which is not read")
    return header


def _number(text: bytes, at: int) -> int:
    """An octal number, or a binary one after a byte of 128."""
    if text.startswith(b"\x80"):
        return int.from_bytes(text[1:], "big")
    try:
        number = int(text.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        number = -1
    if number < 0:
        raise DamagedTar(at, "no header of a member")
    return number


def _name(header: bytes) -> bytes:
    name, prefix = (each.split(b"\0")[0] for each in (header[:100], header[345:500]))
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _extension(file: IO[bytes], at: int, size: int) -> bytes:
    if size > MAX_EXTENSION:
        raise DamagedTar(at, f"a header of {size:,} bytes")
    return _read(file, at + BLOCK, size)


def _extended(extensions: _Extensions, kind: bytes, content: bytes, at: int) -> _Extensions:
    if kind == _LONG_NAME:
        return replace(extensions, name=content.split(b"\0")[0])
    if kind != _ATTRIBUTES:
        return extensions
    for key, value in _attributes(content, at):
        if key == b"path":
            extensions = replace(extensions, name=value)
        elif key == b"size":
            extensions = replace(extensions, size=_decimal(value, at))
        elif key.startswith(b"GNU.sparse."):
            extensions = replace(extensions, is_sparse=True)
    return extensions


def _attributes(content: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Records such as `30 path=a/b.jpg` and a line end, each with its own length in front."""
    start, end = 0, len(content.rstrip(b"\0"))
    while start < end:
        length, _, rest = content[start : start + MAX_DIGITS].partition(b" ")
        size = _decimal(length, at)
        if not len(length) < size <= len(content) - start or not rest:
            raise DamagedTar(at, "attributes of a wrong length")
        key, _, value = content[start + len(length) + 1 : start + size - 1].partition(b"=")
        yield key, value
        start += size


def _decimal(text: bytes, at: int) -> int:
    if not (text.isdigit() and len(text) <= MAX_DIGITS):
        raise DamagedTar(at, "attributes without a number")
    return int(text)
