"""Cut the square chip of a face by its five landmarks. Training and serving use this code, and so the same pixels.

Source: dlib's extract_image_chip: a least-squares similarity from reference points to the image, a binomial pyramid
down to the chip's scale, then bilinear sampling; black outside the picture.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .image import Photo
from .types import Pixels, Point
from .weights.card import Alignment

_MAX_STEP = 2.0  # picture px per chip px above which the picture is halved before it is sampled
_BINOMIAL = (1, 4, 6, 4, 1)
_MARGIN = 8  # px kept around the chip's footprint, for the filter's support


@dataclass(frozen=True, slots=True)
class Similarity:
    """z -> turn * z + shift over complex numbers x + iy: scale and rotation, then translation; no reflection."""

    turn: complex
    shift: complex

    def __call__(self, points: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Map points x + iy."""
        return self.turn * points + self.shift


def fit_similarity(sources: NDArray[np.complex128], targets: NDArray[np.complex128]) -> Similarity:
    """Return the similarity that maps sources to targets with the least squared error, in the targets' plane."""
    source_mean, target_mean = sources.mean(), targets.mean()
    centred = sources - source_mean
    turn = complex(np.vdot(centred, targets - target_mean) / np.vdot(centred, centred).real)
    return Similarity(turn, complex(target_mean - turn * source_mean))


def cut_chip(photo: Photo, landmarks: tuple[Point, ...], alignment: Alignment) -> Pixels:
    """Cut the chip of one face, (side, side, 3) uint8, from the photo at the smallest sufficient size.

    `landmarks` are the detector's five points; `alignment` states their target positions and the side.
    """
    to_photo = _chip_to_photo(landmarks, alignment)
    factor = photo.factor_for(abs(to_photo.turn))
    return _sample(photo.at(factor), _reduced(to_photo, factor), alignment.chip_size_px)


def landmarks_in_chip(landmarks: tuple[Point, ...], alignment: Alignment) -> tuple[Point, ...]:
    """Return a face's five landmarks in px of the chip that is cut by them."""
    to_photo = _chip_to_photo(landmarks, alignment)
    places = (_offset(landmarks, alignment) - to_photo.shift) / to_photo.turn
    return tuple((float(place.real), float(place.imag)) for place in places)


def _chip_to_photo(landmarks: tuple[Point, ...], alignment: Alignment) -> Similarity:
    return fit_similarity(_complex(alignment.points), _offset(landmarks, alignment))


def _offset(landmarks: tuple[Point, ...], alignment: Alignment) -> NDArray[np.complex128]:
    return _complex(landmarks) + complex(alignment.landmark_offset_px, alignment.landmark_offset_px)


def _reduced(similarity: Similarity, factor: int) -> Similarity:
    """The similarity to the photo at 1/factor, where each pixel is centred on `factor` pixels of the photo."""
    middle = (factor - 1) / 2
    return Similarity(similarity.turn / factor, (similarity.shift - complex(middle, middle)) / factor)


def eye_distance(alignment: Alignment) -> float:
    """Return the distance between the eyes in a chip, in px."""
    left, right = _complex(alignment.points[:2])
    return float(abs(right - left))


def _complex(points: tuple[Point, ...]) -> NDArray[np.complex128]:
    return np.asarray(points, dtype=np.float64).view(np.complex128).ravel()


def _sample(picture: Image.Image, to_picture: Similarity, side_px: int) -> Pixels:
    left, top, region = _footprint(picture, to_picture, side_px)
    turn, shift = to_picture.turn, to_picture.shift - complex(left, top)
    while abs(turn) > _MAX_STEP:
        region, turn, shift = _halved(region), turn / 2, shift / 2
    half = complex(0.5, 0.5)  # Pillow's coordinates start at the pixel's corner, ours at its centre
    corner = shift + half - turn * half
    matrix = (turn.real, -turn.imag, corner.real, turn.imag, turn.real, corner.imag)
    size = (side_px, side_px)
    chip = Image.fromarray(region).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(chip)


def _footprint(picture: Image.Image, to_picture: Similarity, side_px: int) -> tuple[int, int, Pixels]:
    """The region that the chip is sampled from, with its left and top; it may extend beyond the picture."""
    last = side_px - 1
    corners = to_picture(np.asarray([0, last, last * 1j, last * (1 + 1j)]))
    margin = _MARGIN * max(1.0, abs(to_picture.turn))
    left, top = math.floor(corners.real.min() - margin), math.floor(corners.imag.min() - margin)
    right, bottom = math.ceil(corners.real.max() + margin), math.ceil(corners.imag.max() + margin)
    return left, top, np.asarray(picture.crop((left, top, right, bottom)))


def _halved(pixels: Pixels) -> Pixels:
    """Halve height and width after filtering with [1 4 6 4 1]/16 both ways; pixel p of the result is at 2p."""
    rows = _filtered(pixels.astype(np.float32))
    both = _filtered(rows.swapaxes(0, 1)).swapaxes(0, 1)
    rounded: Pixels = np.rint(both).astype(np.uint8)
    return rounded


def _filtered(values: NDArray[np.floating]) -> NDArray[np.floating]:
    padded = np.pad(values, ((2, 2), (0, 0), (0, 0)), mode="edge")
    n = (len(values) + 1) // 2
    taps = [weight * padded[start : start + 2 * n - 1 : 2] for start, weight in enumerate(_BINOMIAL)]
    return np.asarray(sum(taps)) / np.float32(sum(_BINOMIAL))
