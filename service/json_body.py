"""Bounds on a JSON body, checked by fast scans before anything is parsed, and its long texts, which are images.

Parsing makes an object of every key, text and number, so a small body could fill the memory. The scans make none. Long
texts are cut out before the rest is parsed, so an image is not copied as text: base64 is decoded from the body itself.
"""

import json
import re
from binascii import Error, a2b_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from .errors import MalformedRequest

Body: TypeAlias = bytes | bytearray

MAX_TEXTS = 128  # with the keys; the largest valid request has 36
LONGEST_TEXT = 300  # bytes of a key, or of a text that is no image
MAX_OUTLINE_BYTES = 16 * 1024  # of a body with images, without its long texts
LONGEST_KEPT_TEXT = 24_000  # bytes of a text about a person: 2,000 characters, each written as two escapes
LONGEST_NUMBER = 100  # digits in a row
QUOTE, BACKSLASH = b'"', b"\\"
_OBJECT = re.compile(rb"[ \t\r\n]*+\{")
_AFTER_A_KEY = re.compile(rb"[ \t\r\n]*+:")
_CONTROL = re.compile(rb"[\x00-\x1f]")
_DIGITS = bytes(ord("0") if chr(each) in "0123456789" else ord(" ") for each in range(256))
# What JSON writers escape in base64: line breaks, PHP's slash, .NET's plus.
_ESCAPES = {rb"\r": b"", rb"\n": b"", rb"\t": b"", rb"\/": b"/", rb"\u002B": b"+", rb"\u002b": b"+", rb"\u002F": b"/"}


@dataclass(frozen=True, slots=True)
class JsonOutline:
    """A body without its long texts; a stand-in longer than any other text takes the place of each."""

    body: bytes
    _texts: Mapping[str, memoryview] = field(repr=False)

    def base64(self, text: str) -> "Base64":
        """Return the text that `text` stands for, or `text` itself."""
        if text in self._texts:
            return Base64(self._texts[text], is_escaped=True)
        return Base64(memoryview(text.encode("utf-8", "replace")), is_escaped=False)


@dataclass(frozen=True, slots=True)
class Base64:
    """A text that should be base64. `is_escaped`: it still has the escapes of JSON."""

    text: memoryview = field(repr=False)
    is_escaped: bool

    def start(self, n_bytes: int = LONGEST_TEXT) -> bytes:
        """Return the first bytes."""
        return bytes(self.text[:n_bytes])

    def without(self, n_bytes: int) -> "Base64":
        """Return the text without its first bytes."""
        return Base64(self.text[n_bytes:], self.is_escaped)

    def decoded(self) -> bytes:
        """Decode the base64, which may contain blanks and line breaks. Raises ValueError."""
        try:
            return a2b_base64(self.text, strict_mode=True)
        except Error:
            return a2b_base64(self._unescaped().translate(None, b" \t\r\n\v\f"), strict_mode=True)

    def _unescaped(self) -> bytes:
        if not self.is_escaped:
            return bytes(self.text)
        if _CONTROL.search(self.text):
            raise not_json("a text contains a control character")
        plain = bytes(self.text)
        if rb"\\" in plain:  # no base64; and without it, each backslash begins an escape
            raise ValueError
        for escape, meant in _ESCAPES.items():
            plain = plain.replace(escape, meant)
        return plain


def outline_of(body: Body, names: tuple[str, ...], kept: tuple[str, ...] = ()) -> JsonOutline:
    """Cut the long texts out of a body with images, except those under the keys `kept`.

    Raises MalformedRequest if one of these, or the rest, is too long to be of a request.
    """
    pieces: list[bytes] = []
    texts: dict[str, memoryview] = {}
    view, kept_from, n_cut, most = memoryview(body), 0, 0, MAX_OUTLINE_BYTES
    if not _OBJECT.match(body):  # no request; the first bytes suffice to say what it is
        return JsonOutline(bytes(view[:MAX_OUTLINE_BYTES]), {})
    for first, end, key in _long_texts(body, names):
        if kept and _text_of(key) in kept:
            most += _bounded(first, end)
            continue
        stand_in = str(len(texts)).rjust(LONGEST_TEXT + 1, "_")
        texts[stand_in] = view[first:end]
        pieces += [bytes(view[kept_from : min(first, kept_from + most)]), stand_in.encode()]
        kept_from, n_cut = end, n_cut + end - first
    if len(body) - n_cut > most:
        raise MalformedRequest(
            f"the body has more than {MAX_OUTLINE_BYTES:,} bytes beside its images; it may have the keys "
            f"{', '.join(names)}"
        )
    return JsonOutline(b"".join([*pieces, bytes(view[kept_from:])]), texts)


def check_bounds(body: Body, names: tuple[str, ...], *, max_values: int, max_lists: int) -> None:
    """Check a body without images, before it is parsed. Raises MalformedRequest."""
    if not _OBJECT.match(body):
        raise not_json(f"it must be an object with the keys {', '.join(names)}")
    for first, end, _ in _long_texts(body, names):
        raise MalformedRequest(f"the body has a text of {end - first:,} bytes; the longest may have {LONGEST_TEXT}")
    if body.count(b",") > max_values:
        raise MalformedRequest(f"the body has more than {max_values:,} values; send fewer embeddings")
    if body.count(b"[") + body.count(b"{") > max_lists:
        raise MalformedRequest(f"the body has more than {max_lists:,} lists and objects; send fewer embeddings")
    if b"0" * (LONGEST_NUMBER + 1) in body.translate(_DIGITS):
        raise MalformedRequest(f"the body has a number of more than {LONGEST_NUMBER} digits; send fewer digits")


def not_json(reason: str) -> MalformedRequest:
    """Return the error for a body that is not JSON."""
    return MalformedRequest(f"the body is not JSON ({reason})")


def _bounded(first: int, end: int) -> int:
    """Return the length of a text that is kept. Raises MalformedRequest."""
    if end - first > LONGEST_KEPT_TEXT:
        raise MalformedRequest(f"the body has a text of {end - first:,} bytes that is no image; shorten it")
    return end - first


def _text_of(key: bytes) -> str:
    """The key without its escapes; a broken one is none that is known."""
    try:
        return str(json.loads(b'"' + key + b'"'))
    except ValueError:
        return ""


def _long_texts(body: Body, names: tuple[str, ...]) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each text of more than LONGEST_TEXT bytes begins and ends, and its key as it is written.

    Raises MalformedRequest.
    """
    if body.count(QUOTE) > 2 * MAX_TEXTS:
        raise MalformedRequest(f"the body has more than {MAX_TEXTS} keys and texts; the keys are {', '.join(names)}")
    quote, key = body.find(QUOTE), b""
    while quote >= 0:
        first, end = quote + 1, _end_of_text(body, quote + 1)
        is_key = _AFTER_A_KEY.match(body, end + 1) is not None
        if is_key and end - first > LONGEST_TEXT:
            raise MalformedRequest(f"the body has a key of {end - first:,} bytes; the keys are {', '.join(names)}")
        if is_key:
            key = bytes(body[first:end])
        elif end - first > LONGEST_TEXT:
            yield first, end, key
        quote = body.find(QUOTE, end + 1)


def _end_of_text(body: Body, first: int) -> int:
    """Return the place of the closing quote."""
    while (quote := body.find(QUOTE, first)) >= 0:
        if not body.endswith(BACKSLASH, first, quote):
            return quote
        run = body[first:quote]
        if (len(run) - len(run.rstrip(BACKSLASH))) % 2 == 0:  # all backslashes escape each other, none the quote
            return quote
        first = quote + 1
    raise not_json("the last text has no end")
