"""The named regions of a chip: every pixel belongs to the nearest of a few places on the face, or lies outside it."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..types import Point

Region = Literal[
    "left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "forehead", "chin", "outside"
]  # left and right as in the picture
REGIONS: tuple[Region, ...] = get_args(Region)

# Where each lies in an upright face: so far right of the middle of the eyes, and so far below it, in distances between
# the eyes and from the eyes down to the mouth.
_PLACES: tuple[tuple[float, float], ...] = (
    (-0.5, 0.0),
    (0.5, 0.0),
    (0.0, 0.5),
    (0.0, 1.05),
    (-0.9, 0.65),
    (0.9, 0.65),
    (0.0, -0.8),
    (0.0, 1.65),
)
_MIDDLE, _HALF = (0.0, 0.45), (1.15, 1.6)  # the oval of the face, in the same measures

RegionMap = NDArray[np.intp]  # (side, side): places in REGIONS


def regions_of_chip(landmarks: tuple[Point, ...], side_px: int) -> RegionMap:
    """The regions of a chip of that side whose eyes, nose and mouth corners lie at these five points, in px."""
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(landmarks)
    middle = (left_eye + right_eye) / 2
    across = float(np.linalg.norm(right_eye - left_eye))
    down = float(((left_mouth + right_mouth) / 2 - middle)[1])
    centres = np.arange(side_px) + 0.5
    right, below = np.meshgrid((centres - middle[0]) / across, (centres - middle[1]) / down)
    apart = [np.hypot(right - x, (below - y) * down / across) for x, y in _PLACES]
    is_outside = np.hypot((right - _MIDDLE[0]) / _HALF[0], (below - _MIDDLE[1]) / _HALF[1]) > 1
    return np.where(is_outside, REGIONS.index("outside"), np.argmin(apart, axis=0))


def region_name(region: Region) -> str:
    """The name as people write it."""
    return region.replace("_", " ")
