"""A face with parts of it covered: there it shows a blur of itself, which has colour and light but no features."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ..types import Chips, Pixels

BLUR = 12 / 150  # standard deviation, of the chip's side: of eyes a third of it apart little is left
_N_SQUARES, _SQUARE = 4, 40 / 150  # of a random cover: how many, and their side, of the chip's

Shares = NDArray[np.float32]  # (n, side, side), 0..1: how much of each pixel is seen


def blur_chip(chip: Pixels) -> Pixels:
    """A chip without its features."""
    return np.asarray(Image.fromarray(chip).filter(ImageFilter.GaussianBlur(BLUR * len(chip))))


def occlude(chip: Pixels, seen: Shares) -> Chips:
    """Copies of a chip (side, side, 3) of which only these shares are seen."""
    cover = blur_chip(chip).astype(np.float32)
    return np.rint(cover + seen[..., None] * (chip - cover)).astype(np.uint8)


def random_shares(n: int, side_px: int, generator: np.random.Generator) -> Shares:
    """Of chips of that side, all seen but a few squares in random places, which may overlap and reach beyond."""
    shares = np.ones((n, side_px, side_px), np.float32)
    square = round(_SQUARE * side_px)
    corners = generator.integers(-square // 2, side_px - square // 2, (n, _N_SQUARES, 2))
    for place, each in enumerate(corners):
        for top, left in each:
            shares[place, max(top, 0) : top + square, max(left, 0) : left + square] = 0
    return shares
