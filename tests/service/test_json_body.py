"""What a JSON body costs: at most a small multiple of its size, whatever it contains."""

import base64
import json
import tracemalloc
from collections.abc import Callable
from time import process_time

import pytest

from service.errors import MalformedRequest
from service.request_parsing import VERIFY, VERIFY_MANY, ParsedRequest, from_json, with_query
from service.wire import CompareRequest, DecisionOptions, VerifyOptions

SIZE = 3_000_000
IMAGE = bytes(range(256)) * 40
TEXT = base64.b64encode(IMAGE)
MOST_BYTES_PER_BYTE = 3
MOST_S = 1.0
MAX_VALUES = 256_000  # twice what a request may have for a model of 128 channels


def _filled(start: bytes, filling: bytes, end: bytes) -> bytes:
    return start + filling * (SIZE // len(filling)) + end


OF_IMAGES = {
    "unknown keys": _filled(b"{", b'"a":0,', b'"a":0}'),
    "one long key": _filled(b'{"', b"probe", b'":0}'),
    "blanks in base64": _filled(b'{"probe":"', b"A ", b'"}'),
    "line breaks in base64": _filled(b'{"probe":"', b"A\\n", b'"}'),
    "escaped quotes": _filled(b'{"probe":"', rb"\"", b'"}'),
    "backslashes": _filled(b'{"probe":"', rb"\\", b'"}'),
    "surrogates": _filled(b'{"probe":"', rb"\ud800", b'"}'),
    "numbers for an image": _filled(b'{"probe":[', b"0,", b"0]}"),
    "empty texts": _filled(b'{"reference":[', b'"",', b'""]}'),
    "nested lists": _filled(b'{"probe":', b"[", b"}"),
    "nested objects": _filled(b"", b'{"a":', b""),
    "digits": _filled(b'{"threshold":', b"1", b"}"),
    "an exponent": _filled(b'{"threshold":1e', b"9", b"}"),
    "blanks between keys": _filled(b"{", b" ", b"}"),
    "a text without end": _filled(b'{"probe":"', b"A", b""),
    "a byte order mark": _filled(b"\xef\xbb\xbf", b"A", b""),
    "no JSON": IMAGE * (SIZE // len(IMAGE)),
    "a long option": _filled(b'{"face":"', b"a", b'","probe":"AA==","reference":"AA=="}'),
}
OF_EMBEDDINGS = {
    "zeros": _filled(b'{"probe":[', b"0,", b"0]}"),
    "unknown keys": OF_IMAGES["unknown keys"],
    "digits": _filled(b'{"probe":[', b"1", b"]}"),
    "nested lists": OF_IMAGES["nested lists"],
    "a long text": _filled(b'{"model_digest":"', rb"\u0061", b'"}'),
    "no JSON": OF_IMAGES["no JSON"],
}


def _cost(read: Callable[[], object]) -> tuple[float, float]:
    """Peak bytes and seconds of reading a body that is refused."""
    tracemalloc.start()
    start = process_time()
    try:
        with pytest.raises(MalformedRequest) as refusal:
            read()
        seconds, peak = process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(str(refusal.value)) < 500
    return peak, seconds


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_a_hostile_body_of_images_costs_a_small_multiple_of_its_size(kind: str) -> None:
    peak, seconds = _cost(lambda: from_json(OF_IMAGES[kind], VERIFY, {}))
    assert peak <= MOST_BYTES_PER_BYTE * SIZE
    assert seconds < MOST_S


@pytest.mark.parametrize("kind", OF_EMBEDDINGS)
def test_a_hostile_body_of_embeddings_costs_a_small_multiple_of_its_size(kind: str) -> None:
    peak, seconds = _cost(
        lambda: with_query(OF_EMBEDDINGS[kind], CompareRequest, DecisionOptions, {}, max_values=MAX_VALUES)
    )
    assert peak <= MOST_BYTES_PER_BYTE * SIZE
    assert seconds < MOST_S


def test_an_image_is_decoded_without_a_copy_of_its_text() -> None:
    body = json.dumps({"probe": base64.b64encode(IMAGE * 200).decode(), "reference": "AA=="}).encode()
    tracemalloc.start()
    parsed = from_json(body, VERIFY, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert parsed.one("probe") == IMAGE * 200
    assert peak < 0.8 * len(body)


@pytest.mark.parametrize(
    "written",
    [
        TEXT,
        b"data:image/jpeg;base64," + TEXT,
        TEXT.replace(b"/", rb"\/"),
        TEXT.replace(b"+", rb"\u002B").replace(b"/", rb"\u002f".upper().replace(b"\\U", b"\\u")),
        rb"\r\n".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76)),
        b" ".join(TEXT[at : at + 4] for at in range(0, len(TEXT), 4)),
    ],
    ids=["plain", "data: URI", "PHP's slashes", ".NET's escapes", "MIME's lines", "blanks"],
)
def test_base64_is_read_as_json_writers_write_it(written: bytes) -> None:
    parsed = from_json(b'{"reference": "AAAA", "probe": "' + written + b'"}', VERIFY, {})
    assert (parsed.one("probe"), parsed.one("reference")) == (IMAGE, bytes(3))


@pytest.mark.parametrize(
    ("written", "word"),
    [
        (TEXT.replace(b"/", rb"\\/"), "not base64"),
        (TEXT + rb"\u0022", "not base64"),
        (TEXT + b"\n", "control character"),
        (TEXT + "é".encode(), "not base64"),
        (TEXT[:-1], "not base64"),
        (b"data:image/jpeg," + TEXT, ";base64"),
        (b"https://example.org/" + TEXT, "fetches no addresses"),
        (b"photos/probe.jpg", "reads no paths"),
    ],
)
def test_a_text_that_is_no_base64_is_refused(written: bytes, word: str) -> None:
    with pytest.raises(MalformedRequest, match=word):
        from_json(b'{"probe": "' + written + b'", "reference": "AAAA"}', VERIFY, {})


def test_long_and_short_images_keep_their_order() -> None:
    images = [IMAGE, b"short", IMAGE[::-1], b"", IMAGE + b"x"]
    texts = [base64.b64encode(image).decode() or " " for image in images]
    parsed: ParsedRequest[VerifyOptions] = from_json(
        json.dumps({"reference": texts, "face": "only", "probe": texts[2]}).encode(), VERIFY_MANY, {}
    )
    assert list(parsed.images["reference"]) == images
    assert (parsed.one("probe"), parsed.options.face) == (images[2], "only")


def test_a_text_that_looks_like_a_stand_in_is_no_other_image() -> None:
    stand_in = "0".rjust(301, "_")
    with pytest.raises(MalformedRequest, match="reference is not base64"):
        from_json(json.dumps({"probe": TEXT.decode(), "reference": stand_in}).encode(), VERIFY, {})


def test_the_largest_comparison_of_embeddings_is_read() -> None:
    vector = [-0.12345678901234567] * 128
    body = {"probe": vector, "references": [vector] * 1000, "model_digest": "sha256:" + "0" * 64, "prior": 0.1}
    parsed = with_query(json.dumps(body, indent=2).encode(), CompareRequest, DecisionOptions, {}, max_values=MAX_VALUES)
    assert (parsed.references[999], parsed.prior) == (vector, 0.1)


def test_a_key_that_is_repeated_is_refused_beside_long_images() -> None:
    body = b'{"probe": "%s", "reference": "%s", "pro\\u0062e": "%s"}' % (TEXT, TEXT, TEXT)
    with pytest.raises(MalformedRequest, match="probe was sent more than once"):
        from_json(body, VERIFY, {})
