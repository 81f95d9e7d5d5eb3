"""HEIC, AVIF and JPEG 2000 from end to end: command, HTTP and client give the verdict that the same pixels give."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from embedder import FaceEmbedder
from service.client import ImageUnreadableError, NotAnImageError

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

Photo = Callable[[str], bytes]

register_heif_opener()  # so that this test can write HEIC

FILES = {"heic": ("HEIF", {}), "avif": ("AVIF", {}), "jp2": ("JPEG2000", {}), "j2k": ("JPEG2000", {"no_jp2": True})}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, examples: Path, tmp_path: Path) -> Path:
    kind, options = FILES[request.param]
    path = tmp_path / f"photo.{request.param}"
    out = BytesIO()
    Image.open(examples / "001-smiling.jpg").save(out, kind, **options)
    path.write_bytes(out.getvalue())
    return path


def test_the_client_compares_it_as_the_library_does(ask: Ask, file: Path, photo: Photo, embedder: FaceEmbedder) -> None:
    answer = ask("verify", file, photo("001-neutral"))
    assert answer.same is True
    assert answer.distance == pytest.approx(embedder.verify(file.read_bytes(), photo("001-neutral")).distance, abs=1e-5)


def test_the_command_compares_it_as_the_library_does(file: Path, examples: Path, embedder: FaceEmbedder) -> None:
    pair = [file, examples / "001-neutral.jpg"]
    done = subprocess.run(
        [Path(sys.executable).parent / "visavis", "verify", *pair, "--json"], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer["same"] is True
    assert answer["distance"] == pytest.approx(
        embedder.verify(*(each.read_bytes() for each in pair)).distance, abs=1e-4
    )


def test_a_file_that_breaks_off_is_unreadable(ask: Ask, file: Path) -> None:
    with pytest.raises(ImageUnreadableError) as caught:
        ask("detect", file.read_bytes()[:3000])
    assert caught.value.status == 422


def test_a_format_that_is_not_read_is_named(ask: Ask) -> None:
    with pytest.raises(NotAnImageError, match="the file is JPEG XL, which is not supported; save it as JPEG") as caught:
        ask("detect", b"\xff\x0a" + bytes(64))
    assert caught.value.status == 415


def test_heic_where_its_reader_is_missing_is_named(ask: Ask, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = BytesIO()
    Image.open(examples / "001-smiling.jpg").save(out, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(NotAnImageError, match=r"the file is HEIC, .*install 'visavis\[heif\]'"):
        ask("detect", out.getvalue())
