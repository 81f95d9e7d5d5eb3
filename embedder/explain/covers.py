"""A face with parts of it covered: there it shows a blur of itself, which has colour and light but no features."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..types import CHIP_SIZE_PX, Chips, Pixels

BLUR_PX = 12.0  # standard deviation: of eyes 50 px apart little is left
_CELLS = 8  # of a random cover, along each side of a chip

Shares = NDArray[np.float32]  # (n, 150, 150), 0..1: how much of each pixel is seen


def blurred(chip: Pixels) -> Pixels:
    """A chip without its features."""
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(BLUR_PX)))


def covered(chip: Pixels, seen: Shares) -> Chips:
    """Copies of a chip (150, 150, 3) of which only these shares are seen."""
    cover = blurred(chip).astype(np.float32)
    return np.rint(cover + seen[..., None] * (chip - cover)).astype(np.uint8)


def random_shares(n: int, generator: np.random.Generator) -> Shares:
    """Shares of random cells, half of them seen, with soft edges that fall elsewhere each time; n is even.

    Each second one is the opposite of the one before, so that every place is seen exactly half of the time.
    """
    cells = generator.integers(0, 2, (n // 2, _CELLS + 1, _CELLS + 1)).astype(np.float32)
    shares = np.stack([_shifted(each, generator) for each in cells])
    return np.stack([shares, 1 - shares], axis=1).reshape(n, CHIP_SIZE_PX, CHIP_SIZE_PX)


def smooth_noise(generator: np.random.Generator) -> NDArray[np.float32]:
    """A map (150, 150) of nothing, as smooth as what random covers can tell."""
    return _shifted(generator.standard_normal((_CELLS + 1, _CELLS + 1)).astype(np.float32), generator)


def _shifted(cells: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Cells drawn large, (150, 150), from a random place in the first one on."""
    left, top = generator.random(2)
    side = (CHIP_SIZE_PX, CHIP_SIZE_PX)
    box = (left, top, left + _CELLS, top + _CELLS)
    return np.asarray(Image.fromarray(cells).resize(side, Image.Resampling.BILINEAR, box=box))
