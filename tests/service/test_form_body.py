"""What a form costs to read, and forms that stretch the rules of multipart."""

import re
from time import process_time

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from service.request_body import FORM_BYTES_PER_BYTE, BodyReader
from service.request_parsing import VERIFY

SIZE = 8_000_000
BOUNDARY = b"---------------------------974767299852498929531610575"
FILE = b'Content-Disposition: form-data; name="%s"; filename="photo.jpg"\r\n\r\n'
BEFORE_A_LINE = b"--x\r\n" + FILE % b"probe" + b"pixels"


def _ask(client: TestClient, body: bytes, content_type: str = "multipart/form-data; boundary=x") -> tuple[int, str]:
    answer = client.post("/v1/verify", content=body, headers={"Content-Type": content_type})
    return answer.status_code, answer.json().get("detail", "")


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"\r\n--x-", "Invalid boundary"),
        (b"\r\n--xy", "Invalid boundary"),
        (b"\r\n--x" + b" " * SIZE, "Invalid boundary"),
        (b"\r\n--", "before its closing boundary"),
        (b"\r", "before its closing boundary"),
    ],
    ids=["half a last delimiter", "longer than a delimiter", "blanks after a delimiter", "half a delimiter", "returns"],
)
def test_a_form_full_of_near_delimiters_is_refused_in_a_moment(client: TestClient, line: bytes, detail: str) -> None:
    body = BEFORE_A_LINE + line * (SIZE // len(line) or 1)
    start = process_time()
    status, told = _ask(client, body)
    assert (status, detail in told) == (400, True), told
    assert process_time() - start < 1


@pytest.mark.parametrize("boundary", [b'""', b'"' + b"b" * 300 + b'"'])
def test_an_empty_or_long_boundary_is_refused(client: TestClient, boundary: bytes) -> None:
    status, told = _ask(client, b"--\r\n\r\n", f"multipart/form-data; boundary={boundary.decode()}")
    assert (status, "cannot be read" in told) == (400, True)


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="' + b"p" * 4000 + b'"\r\n\r\n',
        b"Content-Disposition: form-data; name*0=pro; name*1=be\r\n\r\n",
        b"Content-Disposition: form-data; name*=utf-8''probe\r\n\r\n",
        b"Content-Disposition: form-data" + b';"' * 2000 + b"\r\n\r\n",
        b"X-Field: 1\r\n" * 100 + FILE % b"probe",
        b"X-Field: " + b"1" * 100_000 + b"\r\n" + FILE % b"probe",
        b"X-Field:" + b" " * 100_000,
        b"X" * 100_000,
        b'Content-Disposition: form-data; name="face"\r\n\r\n' + b"a" * 100_000,
        (FILE % b"probe" + b"\r\n--x\r\n") * 10_000,
        b'Content-Disposition: form-data; name="probe"; filename=""\r\n\r\n\r\n--x\r\n' * 10_000,
    ],
    ids=["long name", "continued name", "extended name", "parameters", "many headers", "long header", "blanks",
         "long header name", "long field", "many files", "many empty files"],
)  # fmt: skip
def test_an_odd_part_is_refused(client: TestClient, part: bytes) -> None:
    start = process_time()
    status, told = _ask(client, b"--x\r\n" + part)
    assert (status, len(told) < 500) == (400, True), told
    assert process_time() - start < 1


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "utf-16", "zlib", "no-such"])
def test_a_charset_makes_no_difference(client: TestClient, charset: str) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="f\xfc"\r\n\r\nonly\r\n'
    status, told = _ask(client, part, f"multipart/form-data; boundary=x; charset={charset}")
    assert (status, "unknown part" in told) == (400, True)


def _form(photos: dict[str, bytes], *, padding: bytes, start: bytes = b"", end: bytes = b"") -> bytes:
    parts = {b"probe": photos["001-neutral"], b"reference": photos["001-smiling"]}
    sent = [b"--" + BOUNDARY + padding + FILE % name + photo + b"\r\n" for name, photo in parts.items()]
    return start + b"".join(sent) + b"--" + BOUNDARY + b"--" + end


def _request(body: bytes, size: int) -> Request:
    """A request whose body arrives in chunks of `size` bytes."""
    starts = iter(range(0, len(body), size))

    async def receive() -> Message:
        start = next(starts, None)
        chunk = b"" if start is None else body[start : start + size]
        return {"type": "http.request", "body": chunk, "more_body": start is not None}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "state": {"query": {}}}
    return Request(scope, receive)


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 65536])
async def test_a_form_is_read_alike_however_it_is_cut(size: int) -> None:
    lines = b"".join(b"\r\n--" + BOUNDARY[:n] for n in range(len(BOUNDARY)))  # each begins like a delimiter
    photos = {"001-neutral": lines, "001-smiling": lines[::-1]}
    body = _form(photos, padding=b" \t\r\n", end=b"\r\n--" + BOUNDARY + b"the epilogue is ignored")
    body = body.replace(b" \t", b"", 1)  # the first delimiter has no padding
    held = list[tuple[int, int]]()
    parse = await BodyReader(20_000, 10).read(_request(body, size), VERIFY, lambda *counts: held.append(counts))
    n_held, n_arrived = map(sum, zip(*held, strict=True))
    assert n_arrived == len(body)  # no length was announced
    assert n_held == pytest.approx(FORM_BYTES_PER_BYTE * len(body), abs=len(held))
    assert (parse().one("probe"), parse().one("reference")) == (lines, lines[::-1])


def test_blanks_after_a_delimiter_are_padding(client: TestClient, photos: dict[str, bytes]) -> None:
    body = _form(photos, padding=b"\r\n")
    padded = re.sub(re.escape(b"\r\n--" + BOUNDARY + b"\r\n"), b"\r\n--" + BOUNDARY + b" \t \r\n", body)
    assert padded != body
    assert _ask(client, padded, f"multipart/form-data; boundary={BOUNDARY.decode()}")[0] == 200
