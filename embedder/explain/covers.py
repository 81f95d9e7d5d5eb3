"""A face with parts of it covered: there it shows a blur of itself, which has colour and light but no features."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..types import CHIP_SIZE_PX, Chips, Pixels

BLUR_PX = 12.0  # standard deviation: of eyes 50 px apart little is left
_N_SQUARES, _SQUARE_PX = 4, 40  # of a random cover

Shares = NDArray[np.float32]  # (n, 150, 150), 0..1: how much of each pixel is seen


def blurred(chip: Pixels) -> Pixels:
    """A chip without its features."""
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(BLUR_PX)))


def covered(chip: Pixels, seen: Shares) -> Chips:
    """Copies of a chip (150, 150, 3) of which only these shares are seen."""
    cover = blurred(chip).astype(np.float32)
    return np.rint(cover + seen[..., None] * (chip - cover)).astype(np.uint8)


def random_shares(n: int, generator: np.random.Generator) -> Shares:
    """All seen but a few squares in random places, which may overlap and reach beyond the chip."""
    shares = np.ones((n, CHIP_SIZE_PX, CHIP_SIZE_PX), np.float32)
    corners = generator.integers(-_SQUARE_PX // 2, CHIP_SIZE_PX - _SQUARE_PX // 2, (n, _N_SQUARES, 2))
    for place, each in enumerate(corners):
        for top, left in each:
            shares[place, max(top, 0) : top + _SQUARE_PX, max(left, 0) : left + _SQUARE_PX] = 0
    return shares
