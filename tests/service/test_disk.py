"""No upload touches the disk: whatever is sent, no file is opened for writing."""

import base64
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile

import pytest
from starlette.formparsers import MultiPartParser
from starlette.testclient import TestClient

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SIZE = 5 * 2**20
_seen: list[str] = []
_is_watching = False


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if not _is_watching:
        return
    if event.startswith("tempfile."):
        _seen.append(event)
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        _seen.append(f"open {arguments[0]}")


sys.addaudithook(_hook)  # cannot be taken off again; silent unless watching


@contextmanager
def _watching() -> Iterator[list[str]]:
    global _is_watching  # noqa: PLW0603 - an audit hook has no other way to be told
    _seen.clear()
    _is_watching = True
    try:
        yield _seen
    finally:
        _is_watching = False


@pytest.fixture
def large(examples: Path) -> bytes:
    """A photo of 5 MiB: what follows a JPEG's end is not looked at."""
    return (examples / "001-neutral.jpg").read_bytes().ljust(SIZE, b"\0")


def _send_form(client: TestClient, image: bytes) -> int:
    return client.post("/v1/verify", files={"probe": image, "reference": image}).status_code


@pytest.fixture(autouse=True)
def _warm(client: TestClient, large: bytes) -> None:
    assert _send_form(client, large) == 200  # what is imported late may be compiled to a file; that is not the upload


def test_a_large_form_opens_no_file_for_writing(client: TestClient, large: bytes) -> None:
    with _watching() as seen:
        assert _send_form(client, large) == 200
    assert seen == []


def test_large_json_opens_no_file_for_writing(client: TestClient, large: bytes) -> None:
    text = base64.b64encode(large).decode()
    with _watching() as seen:
        assert client.post("/v1/verify", json={"probe": text, "reference": text}).status_code == 200
    assert seen == []


def test_many_large_images_open_no_file_for_writing(client: TestClient, large: bytes) -> None:
    parts = [("probe", large), *[("reference", large)] * 4]
    with _watching() as seen:
        assert client.post("/v1/verify/many", files=parts).status_code == 200
    assert seen == []


def test_the_watch_sees_a_part_that_is_spooled_to_disk(large: bytes) -> None:
    with _watching() as seen, SpooledTemporaryFile(max_size=MultiPartParser.spool_max_size) as file:
        file.write(large)
    assert seen != []
