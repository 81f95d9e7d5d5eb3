"""However a photo is held, the service sees the same face."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from tests.contract.conftest import Ask

ORIENTATION = 274
NAME = "001-neutral.jpg"


def picture(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")


WITHOUT_LOSS: dict[str, Callable[[Path], object]] = {
    "str": str,
    "Path": lambda path: path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: BytesIO(path.read_bytes()),
    "RGB array": lambda path: np.asarray(picture(path)),
    "BGR array turned round": lambda path: np.asarray(picture(path))[..., ::-1].copy()[..., ::-1],
    "PIL image": picture,
    "PIL image, RGBA": lambda path: picture(path).convert("RGBA"),
}
IN_GREY: dict[str, Callable[[Path], object]] = {
    "grey array": lambda path: np.asarray(picture(path).convert("L")),
    "PIL image, grey": lambda path: picture(path).convert("L"),
    "PIL image, 16 bit": lambda path: Image.fromarray(np.asarray(picture(path).convert("L")).astype(np.uint16) * 257),
}


def as_file(picture: Image.Image, file_format: str, **options: object) -> bytes:
    out = BytesIO()
    picture.save(out, file_format, **options)
    return out.getvalue()


def distance(ask: Ask, probe: object, reference: object) -> float:
    return ask("verify", probe, reference).distance


@pytest.mark.parametrize("held", WITHOUT_LOSS.values(), ids=WITHOUT_LOSS)
def test_what_loses_nothing_changes_nothing(ask: Ask, examples: Path, held: Callable[[Path], object]) -> None:
    assert distance(ask, held(examples / NAME), examples / NAME) == pytest.approx(0, abs=1e-5)


def test_an_open_file_is_a_photo(ask: Ask, examples: Path) -> None:
    with (examples / NAME).open("rb") as file:
        assert distance(ask, file, examples / NAME) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("held", IN_GREY.values(), ids=IN_GREY)
def test_a_grey_photo_is_as_good_as_the_file_it_could_be(
    ask: Ask, examples: Path, held: Callable[[Path], object]
) -> None:
    grey_file = as_file(picture(examples / NAME).convert("L"), "PNG")
    assert distance(ask, held(examples / NAME), grey_file) == pytest.approx(0, abs=1e-3)
    assert distance(ask, held(examples / NAME), examples / NAME) < 0.6


def test_a_lying_photo_is_one_face_as_a_file_and_as_a_pil_image(ask: Ask, examples: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    file = as_file(picture(examples / NAME).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    lying = Image.open(BytesIO(file))
    assert distance(ask, lying, file) == pytest.approx(0, abs=1e-5)
    assert distance(ask, ImageOps.exif_transpose(lying), file) == pytest.approx(0, abs=1e-5)
    assert distance(ask, lying, examples / NAME) < 0.3


def test_a_cmyk_photo_is_one_face_as_a_file_and_as_a_pil_image(ask: Ask, examples: Path) -> None:
    file = as_file(picture(examples / NAME).convert("CMYK"), "JPEG", quality=95)
    assert distance(ask, Image.open(BytesIO(file)), file) == pytest.approx(0, abs=1e-5)


def test_every_method_that_takes_an_image_takes_an_array(ask: Ask, examples: Path) -> None:
    pixels = np.asarray(picture(examples / NAME))
    assert len(ask("detect", pixels).faces) == 1
    assert len(ask("embed", pixels).embedding) == 128
    assert ask("verify_many", pixels, [pixels, examples / NAME]).results[1].verdict.same
