"""A chip under its saliency map: blue where a place brings two faces together, orange where it drives them apart."""

import numpy as np

from ..types import Pixels
from .saliency import SaliencyMap

TOGETHER, APART = (20, 92, 190), (226, 116, 12)  # told apart by colour-blind people too
_MOST = 0.75  # of a place whose influence is the largest: the face stays to be seen


def overlay_saliency(chip: Pixels, saliency: SaliencyMap) -> Pixels:
    """A chip (side, side, 3), grey where it has no influence, with a map (side, side) over it."""
    grey = np.repeat(chip.mean(axis=2, keepdims=True), 3, axis=2)
    color = np.where(saliency[..., None] > 0, TOGETHER, APART)
    strength = _MOST * np.abs(saliency[..., None])
    pixels: Pixels = np.rint(grey + strength * (color - grey)).astype(np.uint8)
    return pixels
