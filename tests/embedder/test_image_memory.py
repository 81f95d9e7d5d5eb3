"""The memory that decoding takes, measured in processes of their own, and what is said if there is too little."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded, png_of_16_bits
from PIL import Image

MEMORY_OF_A_PROCESS = """
import resource, sys
from pathlib import Path
from embedder import Limits, VisavisError
from embedder.image import decode_image
def megabytes(key):
    return int(Path("/proc/self/status").read_text().split(key)[1].split()[0]) // 1000
tiny, large = (Path(path).read_bytes() for path in sys.argv[1:3])
decode_image(tiny, Limits())  # loads the libraries
before = megabytes("VmHWM:")
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_AS, ((megabytes("VmSize:") + int(sys.argv[3])) * 1_000_000,) * 2)
try:
    print(decode_image(large, Limits()).size[0], megabytes("VmHWM:") - before)
except VisavisError as error:
    print(error.code, 0)
"""


def decoded_in_a_process(folder: Path, encode: Callable[[int], bytes], *limit: str) -> tuple[str, int]:
    """The width, or the error, and the memory taken, in MB, of a picture of 3,000 by 3,000; its RGB takes 36 MB."""
    for side in (30, 3000):
        (folder / str(side)).write_bytes(encode(side))
    command = [sys.executable, "-c", MEMORY_OF_A_PROCESS, str(folder / "30"), str(folder / "3000"), *limit]
    outcome, n_megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return outcome, int(n_megabytes)


def dark_png(side: int) -> bytes:
    """A PNG of 16 bits for each colour, none of which is above 255."""
    return png_of_16_bits((side, side), (b"\0" + b"\0\x63" * 3 * side) * side)


LARGE: dict[str, tuple[Callable[[int], bytes], int]] = {
    "RGBA": (lambda side: encoded(Image.new("RGBA", (side, side), (9, 90, 200, 99)), "PNG", compress_level=1), 110),
    "grey, 16 bits": (lambda side: encoded(Image.fromarray(np.full((side, side), 999, np.uint16)), "PNG"), 100),
    "colours, 16 bits": (dark_png, 160),
    "floats": (
        lambda side: encoded(Image.fromarray(np.full((side, side), 0.5, np.float32)), "TIFF", compression="tiff_lzw"),
        120,
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_large_picture_of_any_mode_takes_little_more_memory_than_its_pixels(tmp_path: Path, kind: str) -> None:
    encode, most = LARGE[kind]
    outcome, n_megabytes = decoded_in_a_process(tmp_path, encode)
    assert outcome == "3000"
    assert 30 < n_megabytes < most


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "AVIF"])
def test_too_little_memory_is_not_called_a_broken_image(tmp_path: Path, kind: str) -> None:
    def encode(side: int) -> bytes:
        options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
        return encoded(Image.new("RGB", (side, side), "grey"), kind, **options)

    assert decoded_in_a_process(tmp_path, encode, "20")[0] == ("3000" if kind == "JPEG" else "out_of_memory")
