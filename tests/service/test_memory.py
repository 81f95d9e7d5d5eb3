"""The memory that requests hold: bounded together, refused before anything is read, and given back."""

import base64
import json
import socket
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from subprocess import check_output
from urllib.parse import urlsplit

import httpx2
import pytest
from live_service import served, until
from PIL import Image

from embedder import FaceEmbedder
from service.app import create_app
from service.request_body import FORM_BYTES_PER_BYTE
from service.settings import Settings, SettingsError, load_settings

MIB = 2**20
SPACE = 3 * MIB  # for requests
MOST = int(SPACE / FORM_BYTES_PER_BYTE)  # of a form
SETTINGS = Settings(max_image_bytes=MIB, max_pixels=1_000_000, memory_bytes=8_000_000 + SPACE)
FULL = (503, "memory_full")
GIVING_BACK = """
from service.serving import give_back_memory
give_back_memory()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

bytearray(20 * 2**20)  # freed: from now on, glibc by itself would keep blocks of this size
before = resident()
small, large = [], []
for _ in range(10):
    large.append(bytearray(b"x") * (10 * 2**20))
    small.append(bytearray(1000))
large.clear()
print(resident() - before)
"""


@pytest.fixture(scope="module")
def url(embedder: FaceEmbedder) -> Iterator[str]:
    with served(create_app(SETTINGS, embedder)) as opened:
        yield opened


def _told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def _ask(url: str, photo: bytes) -> tuple[int, str]:
    return _told(httpx2.post(f"{url}/v1/faces", files={"image": photo}, timeout=30))


def _unfinished(url: str, header: str, body: bytes = b"") -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    kind = "Content-Type: multipart/form-data; boundary=x"
    head = f"POST /v1/verify/many HTTP/1.1\r\nHost: {address.netloc}\r\n{kind}\r\n{header}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that arrives slowly keeps its place."""
    monkeypatch.setattr("service.request_execution.SLOW_S", 3600)


@pytest.mark.usefixtures("patient")
def test_an_announced_body_holds_its_memory_before_it_is_read(url: str, photos: dict[str, bytes]) -> None:
    photo = photos["001-neutral"]
    with _unfinished(url, f"Content-Length: {MOST - 1000}"):
        until(lambda: _ask(url, photo) == FULL)
        refused = httpx2.post(f"{url}/v1/faces", files={"image": photo}, timeout=30)
        assert refused.headers["retry-after"] == "1"
        with _unfinished(url, f"Content-Length: {MOST // 2}") as second:  # refused without its body
            assert b" 503 " in second.recv(100)
    until(lambda: _ask(url, photo) == (200, ""))


@pytest.mark.usefixtures("patient")
def test_a_body_of_unknown_length_holds_what_has_come(url: str, photos: dict[str, bytes]) -> None:
    photo, n_sent = photos["001-neutral"], 2 * MIB
    part = b'--x\r\nContent-Disposition: form-data; name="probe"; filename="a"\r\n\r\n'
    size = n_sent + len(part)
    with _unfinished(url, "Transfer-Encoding: chunked", f"{size:x}\r\n".encode() + part + bytes(n_sent) + b"\r\n"):
        until(lambda: _ask(url, photo.ljust(MIB, b"\0")) == FULL)
        assert _ask(url, photo) == (200, "")
    until(lambda: _ask(url, photo.ljust(MIB, b"\0")) == (200, ""))


def test_a_request_that_could_never_fit_is_too_large(url: str) -> None:
    image = bytes(MIB - 1000)
    form = httpx2.post(f"{url}/v1/verify/many", files=[("probe", image), *[("reference", image)] * 3], timeout=30)
    text = base64.b64encode(image).decode()
    body = json.dumps({"probe": text, "reference": [text]}).encode()
    assert 2 * len(body) < 2 * 4 * MIB  # within the limit of the route
    assert 2 * len(body) > SPACE
    typed = {"Content-Type": "application/json"}
    told = httpx2.post(f"{url}/v1/verify/many", content=body, headers=typed, timeout=30)
    assert (_told(form), _told(told)) == ((413, "body_too_large"), (413, "body_too_large"))


def test_all_images_of_a_request_may_be_as_large_as_four_of_the_largest(
    embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    photo = photos["001-neutral"]
    settings = Settings(max_image_bytes=len(photo) + 20_000)
    padded = photo.ljust(settings.max_image_bytes, b"\0")
    with served(create_app(settings, embedder)) as url:
        many = [
            httpx2.post(f"{url}/v1/verify/many", files=[("probe", photo), *[("reference", padded)] * n], timeout=30)
            for n in (3, 5)
        ]
    assert [_told(each) for each in many] == [(200, ""), (413, "body_too_large")]


def test_all_images_of_a_request_may_have_as_many_pixels_as_five_of_the_largest(
    embedder: FaceEmbedder, photos: dict[str, bytes]
) -> None:
    photo = photos["001-neutral"]
    width, height = Image.open(BytesIO(photo)).size
    with served(create_app(Settings(max_pixels=width * height), embedder)) as url:
        sent = [("probe", photo), *[("reference", photo)] * 6]
        results = httpx2.post(f"{url}/v1/verify/many", files=sent, timeout=30).json()["results"]
    refused = [each["problem"]["code"] for each in results if "problem" in each]
    assert (len(results), refused) == (6, ["image_too_large"] * 2)


@pytest.mark.parametrize("given", [{"memory_bytes": 300_000_000}, {"max_pixels": 178_000_000}])
def test_memory_that_is_too_small_for_one_request_is_told_at_the_start(given: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=r"VISAVIS_MEMORY_BYTES.* must be at least"):
        load_settings(**given)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's setting")
def test_memory_of_large_images_is_given_back() -> None:
    kept = check_output([sys.executable, "-c", GIVING_BACK], cwd=Path(__file__).parents[2], text=True)
    assert int(kept) < 10 * MIB
