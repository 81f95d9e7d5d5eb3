"""Map numbers to colours: dark to bright for non-negative values, blue over white to red for signed values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..types import Pixels
from .occlusion import SaliencyMap

Color = tuple[int, int, int]
Scale = tuple[float, float]  # the values of the first and the last colour: 0 and high, or -high and high

# Brightness increases evenly along RISING, and decreases evenly from the middle of SIGNED to both ends.
RISING: tuple[Color, ...] = ((9, 12, 41), (58, 28, 110), (136, 42, 118), (206, 75, 84), (243, 140, 52), (252, 237, 160))
SIGNED: tuple[Color, ...] = (
    (19, 57, 122),
    (76, 138, 196),
    (178, 210, 232),
    (250, 250, 250),
    (244, 190, 165),
    (214, 96, 77),
    (127, 18, 38),
)
SHADES = 256
SHARE_WITHIN = 99.8  # percentile for the scale's end; otherwise a few outliers would make all other values dark


def scale_of(values: NDArray[np.float32]) -> Scale:
    """Return a scale for values of any shape; the few values beyond its ends are clipped."""
    farthest = float(np.percentile(np.abs(values), SHARE_WITHIN))
    return (0.0 if values.min() >= 0 else -farthest, farthest)


def colors_of(scale: Scale) -> tuple[Color, ...]:
    """The evenly spaced colours of a scale, from its low end to its high end."""
    return RISING if scale[0] == 0 else SIGNED


def painted(values: NDArray[np.float32], scale: Scale) -> Pixels:
    """Map values (height, width) to pixels (height, width, 3)."""
    low, high = scale
    shares = (values - low) / (high - low) if high > low else np.zeros_like(values)
    pixels: Pixels = _ramp(colors_of(scale))[np.rint(shares.clip(0, 1) * (SHADES - 1)).astype(int)]
    return pixels


def bar(scale: Scale, width_px: int, height_px: int) -> Pixels:
    """Draw the colours of a scale, from the low end on the left to the high end."""
    ramp = _ramp(colors_of(scale))[np.linspace(0, SHADES - 1, width_px).round().astype(int)]
    return np.repeat(ramp[None], height_px, axis=0)


def _ramp(colors: Sequence[Color]) -> Pixels:
    """256 shades from the first colour to the last."""
    places = np.linspace(0, len(colors) - 1, SHADES)
    channels = [np.interp(places, range(len(colors)), channel) for channel in zip(*colors, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


TOGETHER, APART = (20, 92, 190), (226, 116, 12)  # distinguishable with colour blindness
_MOST = 0.75  # opacity at the largest influence; the face remains visible


def overlay_saliency(chip: Pixels, saliency: SaliencyMap) -> Pixels:
    """Draw a saliency map (side, side) over a chip (side, side, 3), which is grey where there is no influence."""
    grey = np.repeat(chip.mean(axis=2, keepdims=True), 3, axis=2)
    color = np.where(saliency[..., None] > 0, TOGETHER, APART)
    strength = _MOST * np.abs(saliency[..., None])
    pixels: Pixels = np.rint(grey + strength * (color - grey)).astype(np.uint8)
    return pixels
