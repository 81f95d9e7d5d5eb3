"""Measure the quality of a face's photo. This module makes no decisions.

Sharpness and exposure are measured on the chip, because it is the network's input. JPEG blockiness is measured on the
picture, because alignment blurs the block grid. Integer arithmetic is used where possible, because it is faster.
"""

from dataclasses import fields
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .image import Photo, factor_for
from .types import Face, Pixels, Point, Quality

INSIDE = 20 / 150, 110 / 150  # rows and columns of the chip that show mostly the face: start and extent, as shares
DARKEST, BRIGHTEST = 10, 245  # grey levels beyond which a pixel counts as clipped
FLATTEST = 1.0  # grey levels; least contrast that sharpness is divided by
JPEG_BLOCK = 8  # px
STRIP = 16  # px above and below the nose that are searched for JPEG's blocks
REACH = 1.6  # of the strip to each side, in eye distances
MOST_REACH = 256  # px
FINEST_BLOCK = 4  # px
FEWEST_BLOCKS = 3  # along the strip; with fewer, no grid can be detected

Greys = NDArray[np.int16]

MEASURES = tuple(field.name for field in fields(Quality))


def quality_of(photo: Photo, face: Face, chip: Pixels, chip_eye_distance: float) -> Quality:
    """Measure a face on its photo and on the chip (side, side, 3) that was cut from it.

    `chip_eye_distance` is the distance between the eyes in a chip, in px.
    """
    inside = _inside(len(chip))
    halved = _halved(chip[inside, inside, 1])  # green contributes most to luminance
    mean, contrast = _moments(halved)
    eye_distance = _eye_distance(face.landmarks)
    shrinking = max(1.0, eye_distance / chip_eye_distance)  # px of the picture per px of the chip
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
    """The central rows or columns; an even number, because they are summed in pairs."""
    start, share = INSIDE
    first = round(start * side_px)
    return slice(first, first + 2 * round(share * side_px / 2))


def _halved(greys: NDArray[np.uint8]) -> Greys:
    """Sum each 2x2 block: half the size, four times the grey levels, less sensor noise."""
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
    """How much more adjacent columns differ at block boundaries than elsewhere, in grey levels; 0 or more.

    The blocks need not start at the picture's edge: it may have been cropped after compression. Measured on the photo
    at 1/factor of its size; 0 if blocks are then smaller than FINEST_BLOCK px.
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
    beyond = 2 * steps[1:-1] - steps[:-2] - steps[2:]  # twice the excess over the mean of the two adjacent steps
    columns = beyond[: n_blocks * block].reshape(n_blocks, block)
    phases = np.sort(np.median(columns, axis=0))  # the median: one hard edge, as of a border, is no grid
    return float((phases[-1] - phases[block // 2]) / (2 * len(strip)))


def _strip(picture: Image.Image, nose: Point, reach: float) -> Greys:
    """The green channel on both sides of the nose; empty if the strip is outside the picture."""
    left, right = max(0, int(nose[0] - reach)), min(picture.width, int(nose[0] + reach))
    top, bottom = max(0, int(nose[1]) - STRIP), min(picture.height, int(nose[1]) + STRIP)
    if right <= left or bottom <= top:
        return np.empty((0, 0), np.int16)
    return np.asarray(picture.crop((left, top, right, bottom)))[:, :, 1].astype(np.int16)


def head_turn(landmarks: tuple[Point, ...]) -> float:
    """Yaw: the offset of the nose to the right of the face's middle, in eye distances.

    0 = frontal, negative = to the left.
    """
    left_eye, right_eye, nose, *mouth = (complex(*point) for point in landmarks)
    middle = (left_eye + right_eye + sum(mouth)) / 4
    eye_distance = _eye_distance(landmarks)
    across = (right_eye - left_eye) / eye_distance  # the unit vector from eye to eye
    return ((nose - middle) * across.conjugate()).real / eye_distance


def _eye_distance(landmarks: tuple[Point, ...]) -> float:
    """The distance between the eyes in px, at least 1."""
    return max(_length(landmarks[0], landmarks[1]), 1.0)


def _length(one: Point, other: Point) -> float:
    return hypot(other[0] - one[0], other[1] - one[1])
