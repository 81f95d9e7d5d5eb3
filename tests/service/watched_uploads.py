"""Send large images to the service in this process, and print what was opened for writing, as JSON by request.

    python tests/service/watched_uploads.py PHOTO

An audit hook cannot be removed, so this runs in a process of its own.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile

from starlette.formparsers import MultiPartParser
from starlette.testclient import TestClient

from embedder import load
from service.app import create_app
from service.settings import Settings

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


@contextmanager
def _watching() -> Iterator[list[str]]:
    global _is_watching  # noqa: PLW0603 - an audit hook has no other way to be told
    _seen.clear()
    _is_watching = True
    try:
        yield _seen
    finally:
        _is_watching = False


def _form(client: TestClient, image: bytes) -> int:
    return client.post("/v1/verify", files={"probe": image, "reference": image}).status_code


def _json(client: TestClient, image: bytes) -> int:
    text = base64.b64encode(image).decode()
    return client.post("/v1/verify", json={"probe": text, "reference": text}).status_code


def _many(client: TestClient, image: bytes) -> int:
    parts = [("probe", image), *[("reference", image)] * 4]
    return client.post("/v1/verify/many", files=parts).status_code


def _spooled(_: TestClient, image: bytes) -> int:
    with SpooledTemporaryFile(max_size=MultiPartParser.spool_max_size) as file:
        file.write(image)
    return 200


def main(photo: Path) -> None:
    """Print the status and what was opened, for each kind of request."""
    image = photo.read_bytes().ljust(SIZE, b"\0")  # what follows a JPEG's end is not looked at
    seen = {}
    with TestClient(create_app(Settings(), load())) as client:
        _form(client, image)  # what is imported late may be compiled to a file; that is not the upload
        for send in (_form, _json, _many, _spooled):
            with _watching() as opened:
                status = send(client, image)
            seen[send.__name__] = [status, list(opened)]
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    sys.addaudithook(_hook)
    main(Path(sys.argv[1]))
