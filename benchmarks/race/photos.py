"""The photographs of a race: those of LFW, and larger ones made from the London set's originals.

The larger ones are deleted after the run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

N_OF_A_KIND = 6  # pairs of one person, and of two, from LFW
PHONE = (4000, 3000)
PHONE_BYTES = (2_000_000, 4_000_000)
NOISE = 4.0  # of a sensor: standard deviation in steps of 256
QUALITIES = (95, 92, 89, 86, 83, 80, 75, 70)


@dataclass(frozen=True)
class Size:
    """Pairs of photographs of one size, and how many times as fast as the rivals visavis has to be."""

    name: str
    pairs: list[tuple[Path, Path]]
    bars: tuple[float, float, float]  # dlib with OpenBLAS, dlib-bin, OpenCV
    is_slow: bool = False  # fewer rounds, because a verification takes seconds

    @property
    def mean_kb(self) -> float:
        files = {path for pair in self.pairs for path in pair}
        return sum(path.stat().st_size for path in files) / len(files) / 1e3


def sizes(data: Path, folder: Path) -> list[Size]:
    """Three sizes; those that must be made lie in `folder` afterwards."""
    return [
        Size("250x250", lfw_pairs(data / "lfw-view1"), (8, 15, 1.5)),
        Size("800x800", london_pairs(data, folder, "800", middling), (40, 30, 3)),
        Size("12 megapixels", london_pairs(data, folder, "phone", from_a_phone), (250, 120, 4.5), is_slow=True),
    ]


def lfw_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """The first pairs of DevTest, of one person and of two in turn."""
    rows = [line.split() for line in (folder / "pairsDevTest.txt").read_text().splitlines()[1:]]
    same = [((name, a), (name, b)) for name, a, b in (row for row in rows if len(row) == 3)]  # noqa: PLR2004 - name, i, j
    different = [((p, a), (r, b)) for p, a, r, b in (row for row in rows if len(row) == 4)]  # noqa: PLR2004 - name, i, name, j
    chosen = [pair for both in zip(same[:N_OF_A_KIND], different, strict=False) for pair in both]

    def path(name: str, number: str) -> Path:
        return folder / "lfw" / name / f"{name}_{int(number):04d}.jpg"

    return [(path(*probe), path(*reference)) for probe, reference in chosen]


def london_pairs(data: Path, folder: Path, name: str, make: Callable[[Image.Image], bytes]) -> list[tuple[Path, Path]]:
    """One photo each of every original, then pairs of one person and of two in turn."""
    made: list[list[Path]] = []
    for person in sorted(path for path in (data / "london-full").iterdir() if path.is_dir()):
        made.append([])
        for original in sorted(person.glob("*.jpg")):
            made[-1].append(folder / f"{name}-{original.name}")
            with Image.open(original) as image:
                made[-1][-1].write_bytes(make(image.convert("RGB")))
    (a, b), (c, d) = (each[:2] for each in made[:2])
    return [(a, b), (b, c), (c, d), (d, a)]


def middling(image: Image.Image) -> bytes:
    return as_jpeg(ImageOps.contain(image, (800, 800), Image.Resampling.LANCZOS), 90)


def from_a_phone(image: Image.Image) -> bytes:
    """The person before a wider wall, at 12 megapixels, with a sensor's noise, of a weight that phones' files have."""
    tall = np.asarray(image.resize((PHONE[1], PHONE[1]), Image.Resampling.BICUBIC), np.float32)
    border = (PHONE[0] - PHONE[1]) // 2
    wide = np.pad(tall, ((0, 0), (border, border), (0, 0)), "reflect")
    noise = np.random.default_rng(0).standard_normal(wide.shape, np.float32)
    pixels = Image.fromarray(np.clip(wide + NOISE * noise, 0, 255).astype(np.uint8))
    files = (as_jpeg(pixels, quality) for quality in QUALITIES)
    return next(file for file in files if len(file) <= PHONE_BYTES[1])


def as_jpeg(image: Image.Image, quality: int) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
