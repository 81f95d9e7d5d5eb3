"""How good the photo of a face is: a handful of numbers, each with its meaning. Decides nothing.

Measured where it counts: sharpness and exposure on the chip, which is what the network sees; the marks of strong JPEG
compression on the picture, because alignment smears their grid. In whole numbers as far as can be: it is quicker.
"""

from dataclasses import fields
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .image import Photo, factor_for
from .types import Face, Pixels, Point, Quality

INSIDE = 20 / 150, 110 / 150  # rows and columns of the chip that show the face and little else: start, and how many
DARKEST, BRIGHTEST = 10, 245  # grey levels beyond which a pixel counts as clipped
FLATTEST = 1.0  # grey levels: at less contrast than this there is nothing to be sharp
JPEG_BLOCK = 8  # px
STRIP = 16  # px above and below the nose that are searched for JPEG's blocks
REACH = 1.6  # how far to both sides, in distances between the eyes
MOST_REACH = 256  # px
FINEST_BLOCK = 4  # px
FEWEST_BLOCKS = 3  # along the strip; fewer show no grid

Greys = NDArray[np.int16]

MEASURES = tuple(field.name for field in fields(Quality))


def quality_of(photo: Photo, face: Face, chip: Pixels, chip_eye_distance: float) -> Quality:
    """Measure a face on its photo and on the chip (side, side, 3) that was cut from it.

    `chip_eye_distance` is how far apart the eyes lie in a chip, in px.
    """
    inside = _inside(len(chip))
    halved = _halved(chip[inside, inside, 1])  # green carries most of what we see as brightness
    mean, contrast = _moments(halved)
    eye_distance = _eye_distance(face.landmarks)
    shrinking = max(1.0, eye_distance / chip_eye_distance)  # px of the picture to a px of the chip
    return Quality(
        eye_distance_px=eye_distance,
        sharpness=_edge_strength(halved) / max(contrast, FLATTEST),
        blockiness=_blockiness(photo, face.landmarks[2], eye_distance, factor_for(shrinking)) / shrinking,
        brightness=mean,
        contrast=contrast,
        clipped=int(np.count_nonzero((halved < 4 * DARKEST) | (halved > 4 * BRIGHTEST))) / halved.size,
        turn=abs(head_turn(face.landmarks)),
        detector_score=face.score,
    )


def _inside(side_px: int) -> slice:
    """An even number of rows, for they are summed in pairs."""
    start, share = INSIDE
    first = round(start * side_px)
    return slice(first, first + 2 * round(share * side_px / 2))


def _halved(greys: NDArray[np.uint8]) -> Greys:
    """Sum every 2x2 pixels: half the size, four times the grey levels, and the sensor's noise smoothed."""
    rows = greys[::2].astype(np.int16)
    rows += greys[1::2]
    sums: Greys = rows[:, ::2] + rows[:, 1::2]
    return sums


def _moments(halved: Greys) -> tuple[float, float]:
    """Mean and standard deviation, in grey levels."""
    values = halved.ravel().astype(np.float32)
    mean = float(values.sum()) / values.size
    return mean / 4, sqrt(max(float(values @ values) / values.size - mean**2, 0.0)) / 4


def _edge_strength(halved: Greys) -> float:
    """Root mean square of the Laplacian, in grey levels."""
    laplacian = halved[1:-1, :-2] + halved[1:-1, 2:]
    laplacian += halved[:-2, 1:-1]
    laplacian += halved[2:, 1:-1]
    laplacian -= halved[1:-1, 1:-1] << 2
    values = laplacian.ravel().astype(np.float32)
    return sqrt(float(values @ values) / values.size) / 4


def _blockiness(photo: Photo, nose: Point, eye_distance: float, factor: int) -> float:
    """How much more neighbouring columns differ where blocks meet than elsewhere, in grey levels; 0 or more.

    The blocks need not begin at the picture's edge: it may have been cropped after it was compressed. On the photo at
    1/factor of its size, where blocks of less than FINEST_BLOCK px are none.
    """
    block = JPEG_BLOCK // factor
    if block < FINEST_BLOCK:
        return 0.0
    reach = min(REACH * eye_distance, MOST_REACH)
    strip = _strip(photo.at(factor), (nose[0] / factor, nose[1] / factor), reach / factor)
    n_blocks = (strip.shape[1] - 3) // block
    if n_blocks < FEWEST_BLOCKS:
        return 0.0
    steps = np.abs(strip[:, 1:] - strip[:, :-1]).sum(axis=0, dtype=np.int32)
    beyond = 2 * steps[1:-1] - steps[:-2] - steps[2:]  # twice the step beyond the mean of those beside it
    phases = np.sort(beyond[: n_blocks * block].reshape(n_blocks, block).sum(axis=0))
    return float((phases[-1] - phases[block // 2]) / (2 * n_blocks * len(strip)))


def _strip(picture: Image.Image, nose: Point, reach: float) -> Greys:
    """The greens on both sides of the nose; empty where it lies outside the picture."""
    left, right = max(0, int(nose[0] - reach)), min(picture.width, int(nose[0] + reach))
    top, bottom = max(0, int(nose[1]) - STRIP), min(picture.height, int(nose[1]) + STRIP)
    if right <= left or bottom <= top:
        return np.empty((0, 0), np.int16)
    return np.asarray(picture.crop((left, top, right, bottom)))[:, :, 1].astype(np.int16)


def head_turn(landmarks: tuple[Point, ...]) -> float:
    """How far the nose lies to the right of the face's middle, in distances between the eyes.

    0 = frontal, negative = to the left.
    """
    left_eye, right_eye, nose, *mouth = (complex(*point) for point in landmarks)
    middle = (left_eye + right_eye + sum(mouth)) / 4
    eye_distance = _eye_distance(landmarks)
    across = (right_eye - left_eye) / eye_distance  # the unit vector from eye to eye
    return ((nose - middle) * across.conjugate()).real / eye_distance


def _eye_distance(landmarks: tuple[Point, ...]) -> float:
    """In px, and never less than one."""
    return max(_length(landmarks[0], landmarks[1]), 1.0)


def _length(one: Point, other: Point) -> float:
    return hypot(other[0] - one[0], other[1] - one[1])
