"""Pictures of all modes -> RGB with 8 bits, a strip of rows at a time, so that memory is needed for the result alone.

Pillow's modes are those of https://pillow.readthedocs.io/en/stable/handbook/concepts.html#modes.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import ImageUnreadable

_STRIP = 2**20  # px, and one row at least
_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
_MAX_8_BIT, _MAX_16_BIT = 255, 65535
_DEPTHS = (8, 10, 12, 14, 16)  # bits
_FLOATS_EXCEED = 2  # the greatest value of floats, as a multiple of their range
_BELOW = 0.1  # the same, below 0
DARKEST_16_BIT = 2**14 >> 8  # the upper byte of a value that needs more than 14 bits
# Where Pillow takes one byte of two for each colour: the way to take the other one.
OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": f"RGB;16{'B' if sys.byteorder == 'little' else 'L'}",
}

_Values = NDArray[np.integer] | NDArray[np.floating]


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return the picture as RGB: transparent pixels over white, more bits than 8 by the range of the values.

    Raises ImageUnreadable if the values are no pixels.
    """
    if picture.mode in _TRANSPARENT_MODES or "transparency" in picture.info:
        return _by_strips(picture.size, lambda box: _over_white(picture.crop(box).convert("RGBA")))
    if picture.mode.startswith("I") or picture.mode == "F":
        return _in_8_bits(picture.size, lambda box: np.asarray(picture.crop(box)))
    return picture.convert("RGB")


def colours_of_two_bytes(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Return the RGB picture whose values consist of two bytes each, by their range; both pictures are RGB."""

    def values(box: tuple[int, int, int, int]) -> _Values:
        both: _Values = np.asarray(upper.crop(box)).astype(np.uint16) << 8 | np.asarray(lower.crop(box))
        return both

    return _in_8_bits(upper.size, values)


def _boxes(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    width, height = size
    n_rows = max(1, _STRIP // width)
    return ((0, top, width, min(top + n_rows, height)) for top in range(0, height, n_rows))


def _by_strips(size: tuple[int, int], strip: Callable[[tuple[int, int, int, int]], Image.Image]) -> Image.Image:
    whole = Image.new("RGB", size)
    for box in _boxes(size):
        whole.paste(strip(box), box)
    return whole


def _over_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _in_8_bits(size: tuple[int, int], values: Callable[[tuple[int, int, int, int]], _Values]) -> Image.Image:
    """Scale integers or floats to 0..255, by their greatest value.

    Integers are taken for numbers of 8, 10, 12, 14 or 16 bits, whichever is the least that contains all of them,
    because cameras and scanners store fewer bits in 16. A picture of 16 bits that is nowhere brighter than a quarter of
    the range thus becomes brighter. Floats up to 2 are taken for 0..1, floats up to 510 for 0..255, because rounding
    and resampling exceed the range a little; what exceeds it is clipped. Larger floats are taken for integers.
    """
    top = _range(values(box) for box in _boxes(size))
    levels = _scaled(np.arange(top + 1), top)

    def strip(box: tuple[int, int, int, int]) -> Image.Image:
        clipped = np.clip(values(box), 0, top)
        pixels = levels[clipped] if clipped.dtype.kind in "iu" else _scaled(np.asarray(clipped, np.float64), top)
        return Image.fromarray(pixels).convert("RGB")

    return _by_strips(size, strip)


def _scaled(numbers: _Values, top: int) -> NDArray[np.uint8]:
    scaled: NDArray[np.uint8] = np.rint(numbers.astype(np.float64) * (_MAX_8_BIT / top)).astype(np.uint8)
    return scaled


def _range(strips: Iterator[_Values]) -> int:
    """The top of the range of a picture's values. Raises ImageUnreadable if they are outside all ranges."""
    lows, highs, is_float = [], [], False
    for numbers in strips:
        is_float = numbers.dtype.kind == "f"
        if not np.isfinite(numbers).all():
            raise ImageUnreadable(
                "the image contains values that are not finite (NaN or infinity); save it as 8-bit and send that"
            )
        lows.append(float(numbers.min()))
        highs.append(float(numbers.max()))
    low, high = min(lows), max(highs)
    top = _range_to(high, is_float=is_float)
    if low < -_BELOW * top or high > _MAX_16_BIT:
        raise ImageUnreadable(
            f"the image contains values from {low:g} to {high:g}, outside 0 to 65535; save it as 8-bit"
        )
    return top


def _range_to(high: float, *, is_float: bool) -> int:
    """The top of the range that a picture with this greatest value has."""
    if is_float and high <= _FLOATS_EXCEED * _MAX_8_BIT:
        return 1 if high <= _FLOATS_EXCEED else _MAX_8_BIT
    return next((2**bits - 1 for bits in _DEPTHS if high < 2**bits), _MAX_16_BIT)
