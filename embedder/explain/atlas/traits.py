"""Traits of a face measured from its picture alone, with names in two languages."""

from collections.abc import Callable
from dataclasses import dataclass
from math import atan2, degrees

import numpy as np
from numpy.typing import NDArray

from ...alignment import landmarks_in_chip
from ...types import Chip, Pixels
from ...weights.card import Alignment

CHEEK = 12 / 150  # side of the patch of skin on each cheek, as a share of the chip's side
GREYEST = 4.0  # grey levels; least range of red, green and blue at which the hue of the skin is defined


@dataclass(frozen=True, slots=True)
class Trait:
    """The names of a measured trait."""

    name: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFace:
    """The inputs for measuring a face's traits; landmarks are complex numbers x + iy, in px."""

    chip: Chip
    points: NDArray[np.complex128]  # (5,), in the photo: eyes, nose, corners of the mouth
    skin: NDArray[np.float64]  # (3,): median colour of the cheeks, 0..255

    @classmethod
    def of(cls, chip: Chip, alignment: Alignment) -> "MeasuredFace":
        """Prepare the measurement of a chip's face."""
        in_chip = np.array(landmarks_in_chip(chip.sample.face.landmarks, alignment))
        points = np.array(chip.sample.face.landmarks) @ [1, 1j]
        return cls(chip, points, _skin(chip.pixels, in_chip))

    @property
    def eyes(self) -> complex:
        """The vector from the image-left to the image-right eye."""
        return complex(self.points[1] - self.points[0])

    @property
    def between_eyes(self) -> complex:
        """The midpoint of the eyes."""
        return complex(self.points[0] + self.points[1]) / 2


def _eyes_apart(seen: MeasuredFace) -> float:
    """The distance between the eyes, as a share of the face's width."""
    return abs(seen.eyes) / seen.chip.sample.face.box.width


def _turn(seen: MeasuredFace) -> float:
    return seen.chip.sample.quality.turn


def _tilt(seen: MeasuredFace) -> float:
    """The roll of the head to either side, in degrees."""
    return abs(degrees(atan2(seen.eyes.imag, seen.eyes.real)))


def _mouth_width(seen: MeasuredFace) -> float:
    return abs(complex(seen.points[4] - seen.points[3])) / abs(seen.eyes)


def _nose_length(seen: MeasuredFace) -> float:
    return abs(complex(seen.points[2]) - seen.between_eyes) / abs(seen.eyes)


def _skin_luminance(seen: MeasuredFace) -> float:
    """Rec. 601, 0..255."""
    return float(seen.skin @ [0.299, 0.587, 0.114])


def _skin_hue(seen: MeasuredFace) -> float:
    """The hue angle from red toward yellow, in degrees; NaN in a grey photo."""
    red, green, blue = seen.skin
    if np.ptp(seen.skin) < GREYEST:
        return np.nan
    return degrees(atan2(3**0.5 * (green - blue), 2 * red - green - blue))


_MEASURES: dict[Trait, Callable[[MeasuredFace], float]] = {
    Trait("eye_distance", "eye distance over face width", "眼距与脸宽之比"): _eyes_apart,
    Trait("head_turn", "head turn", "头部左右转动"): _turn,
    Trait("head_tilt", "head tilt", "头部倾斜"): _tilt,
    Trait("mouth_width", "mouth width over eye distance", "嘴宽与眼距之比"): _mouth_width,
    Trait("nose_length", "nose length over eye distance", "鼻长与眼距之比"): _nose_length,
    Trait("skin_luminance", "skin luminance", "肤色亮度"): _skin_luminance,
    Trait("skin_hue", "skin hue (red to yellow)", "肤色色相（红到黄）"): _skin_hue,
    Trait("brightness", "overall brightness", "整体亮度"): lambda seen: seen.chip.sample.quality.brightness,
    Trait("contrast", "contrast", "对比度"): lambda seen: seen.chip.sample.quality.contrast,
    Trait("sharpness", "sharpness", "清晰度"): lambda seen: seen.chip.sample.quality.sharpness,
}
TRAITS = tuple(_MEASURES)


def traits_of(chip: Chip, alignment: Alignment) -> NDArray[np.float64]:
    """Measure all traits of a face, in the order of TRAITS: (n,); NaN = undefined."""
    seen = MeasuredFace.of(chip, alignment)
    return np.array([measure(seen) for measure in _MEASURES.values()])


def _skin(pixels: Pixels, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median colour of a patch on each cheek: below the eye, beside the nose."""
    eyes, nose, mouth = landmarks[:2], landmarks[2], landmarks[3:]
    centres = np.column_stack([(eyes[:, 0] + mouth[:, 0]) / 2, [nose[1], nose[1]]])
    outward = (centres - [nose[0], 0]) * [0.25, 0]
    patches = [_patch(pixels, centre) for centre in centres + outward]
    return np.asarray(np.median(np.concatenate(patches), axis=0))


def _patch(pixels: Pixels, centre: NDArray[np.float64]) -> Pixels:
    """The pixels of a patch around a place, (n, 3), shifted to lie within the chip."""
    side = round(CHEEK * len(pixels))
    left, top = (int(np.clip(each - side / 2, 0, len(pixels) - side)) for each in centre)
    return pixels[top : top + side, left : left + side].reshape(-1, 3)
