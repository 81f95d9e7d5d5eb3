"""Measure the quality of a face's photo, and judge it by the penalties of a model's card.

Sharpness, exposure and what is visible are measured on the chip, because it is the network's input. JPEG blockiness is
measured on the picture, because alignment blurs the block grid. Integer arithmetic is used where possible, because it
is faster.

Embeddings of two poor photos are closer to each other, which increases the FMR. A pair of one poor and one good photo
does not have this effect, so the penalty of a pair is that of its better photo. The same holds for two faces that are
covered in the same place; if that place is mostly covered in both, the pair is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import hypot, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .alignment import fit_similarity
from .errors import FaceCovered, LowQuality
from .image import Photo
from .types import FACE_PARTS, LEAST_VISIBLE, Face, FacePart, Grade, Pass, Pixels, Point, Quality
from .weights.card import Alignment
from .weights.card_parts import Measure, OperatingPoint, QualityPenalty

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


OCCLUSION_GRAPH = Path(__file__).parent / "occlusion.onnx"
# Shares, and with them penalties and refusals, are measured by this network alone. No digest of a model covers it.
OCCLUSION_SHA256 = "sha256:2eace60e90535342e6a6e661c3be7369badbb22bd692c8a90fcc84a4ec1fd584"
OCCLUSION_SIDE_PX = 56  # of the network's square input
# The landmarks in a chip of twice that side: eyes, nose tip, mouth corners, as for the model sface-128.
_POINTS = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_SAME_PX = 0.01  # a chip whose landmarks are that near to _POINTS needs no resampling


class VisibleShares(NamedTuple):
    """The visible shares of two parts of a face, 0 to 1."""

    eyes: float
    mouth: float


class OcclusionMeter:
    """Measures the visible shares on chips of one alignment. Thread-safe.

    A small network, trained by `tools/make_occlusion_network.py` on faces with drawn masks, dark glasses, hands and
    other covers. It sees the chip at 56 px, with the landmarks at the same places for every model.
    """

    def __init__(self, network: Pass, alignment: Alignment) -> None:
        self._network = network
        self._matrix = _to_chip(alignment)

    def __call__(self, chip: Pixels) -> VisibleShares:
        """Measure a chip, uint8 RGB (side, side, 3)."""
        picture = Image.fromarray(chip)
        if self._matrix is not None:
            size = (2 * OCCLUSION_SIDE_PX, 2 * OCCLUSION_SIDE_PX)
            picture = picture.transform(size, Image.Transform.AFFINE, self._matrix, Image.Resampling.BILINEAR)
        eyes, mouth = self._network(np.asarray(picture.reduce(2))[None])[0][0].tolist()
        return VisibleShares(1 - eyes, 1 - mouth)


def _to_chip(alignment: Alignment) -> tuple[float, ...] | None:
    """The affine matrix from the network's frame to the chip, for Pillow; None if they are the same."""
    ours, theirs = (np.asarray(points).view(np.complex128).ravel() for points in (_POINTS, alignment.points))
    similarity = fit_similarity(ours, theirs)
    turn, shift = similarity.turn, similarity.shift
    if alignment.chip_size_px == 2 * OCCLUSION_SIDE_PX and hypot(*np.abs((ours - theirs).view(float))) < _SAME_PX:
        return None
    half = complex(0.5, 0.5)  # Pillow's coordinates start at the pixel's corner, ours at its centre
    corner = shift + half - turn * half
    return turn.real, -turn.imag, corner.real, turn.imag, turn.real, corner.imag


def quality_of(photo: Photo, face: Face, chip: Pixels, chip_eye_distance: float, visible: VisibleShares) -> Quality:
    """Measure a face on its photo and on the chip (side, side, 3) that was cut from it.

    `chip_eye_distance` is the distance between the eyes in a chip, in px; `visible` is measured on the chip by an
    `OcclusionMeter`.
    """
    inside = _inside(len(chip))
    halved = _halved(chip[inside, inside, 1])  # green contributes most to luminance
    mean, contrast = _moments(halved)
    eye_distance = _eye_distance(face.landmarks)
    shrinking = max(1.0, eye_distance / chip_eye_distance)  # px of the picture per px of the chip
    return Quality(
        eye_distance_px=eye_distance,
        sharpness=_edge_strength(halved) / max(contrast, FLATTEST),
        blockiness=_blockiness(photo, face.landmarks[2], eye_distance, photo.factor_for(shrinking)) / shrinking,
        brightness=mean,
        contrast=contrast,
        clipped=int(np.count_nonzero((halved < 4 * DARKEST) | (halved > 4 * BRIGHTEST))) / halved.size,
        turn=abs(head_turn(face.landmarks)),
        detector_score=face.score,
        eyes_visible=visible.eyes,
        mouth_visible=visible.mouth,
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


ADVICE: dict[Measure, str] = {
    "sharpness": "send a sharper or larger photo",
    "eye_distance_px": "send a photo in which the face is larger",
    "eyes_visible": "send a photo in which nothing covers the eyes",
    "mouth_visible": "send a photo in which nothing covers the mouth",
}
FAULTS: dict[Measure, str] = {
    "sharpness": "both photos are blurred",
    "eye_distance_px": "both faces are small",
    "eyes_visible": "the eyes are partly covered in both photos",
    "mouth_visible": "the mouth is partly covered in both photos",
}
COVERS: dict[FacePart, str] = {"eyes": "dark glasses or hair", "mouth": "a mask, a scarf or a hand"}
MIN_STATED_PENALTY = 0.0005  # in units of distance; smaller penalties are not reported

QualityPenalties = tuple[QualityPenalty, ...]  # one for each measure with a penalty; may be empty


@dataclass(frozen=True, slots=True)
class PairPenalty:
    """The penalty of a pair by one measure."""

    measure: Measure
    values: tuple[float, float]  # of both photos
    penalty: float  # in units of distance; that of the better photo


def grade_photo(rule: QualityPenalties, quality: Quality) -> Grade:
    """Return a face's penalty, and whether its photo is too poor."""
    values = [(each, _value(each, quality)) for each in rule]
    penalty = sum(each.at(value) for each, value in values)
    return Grade(penalty, is_too_poor=any(value < each.min_value for each, value in values))


def require_quality(rule: QualityPenalties, quality: Quality) -> None:
    """Raise LowQuality if the photo is poorer than nearly all photos that the rule was fitted on."""
    for each in rule:
        value = _value(each, quality)
        if value < each.min_value:
            raise LowQuality(each.measure, value, each.min_value, advice=ADVICE[each.measure])


def require_a_common_part(probe: Quality, reference: Quality) -> None:
    """Raise FaceCovered if the same part of both faces is covered."""
    for part in FACE_PARTS:
        shares = getattr(probe, f"{part}_visible"), getattr(reference, f"{part}_visible")
        if max(shares) < LEAST_VISIBLE:
            raise FaceCovered(part, shares, covers=COVERS[part])


def pair_penalties(rule: QualityPenalties, probe: Quality, reference: Quality) -> tuple[PairPenalty, ...]:
    """Return the penalty of a pair of photos by each measure of the rule."""
    return tuple(_pair_penalty(each, _value(each, probe), _value(each, reference)) for each in rule)


def threshold_reason(rule: QualityPenalties, point: OperatingPoint, penalties: Sequence[PairPenalty] | None) -> str:
    """Explain a pair's threshold at an operating point; `penalties` is None if the photos are unknown."""
    start = f"{point.name}: {point.threshold:.3f}"
    if not rule:
        return f"{start} for all pairs; this model has no penalty for poor photos."
    if penalties is None:
        return f"{start}; the quality of the photos is not known here, so no penalty is taken off."
    reductions = [_in_words(each) for each in penalties if each.penalty >= MIN_STATED_PENALTY]
    if not reductions:
        return f"{start} for all pairs with at least one good photo."
    return f"{start}, {', '.join(reductions)}."


def _value(rule: QualityPenalty, quality: Quality) -> float:
    return float(getattr(quality, rule.measure))


def _pair_penalty(rule: QualityPenalty, probe: float, reference: float) -> PairPenalty:
    return PairPenalty(rule.measure, (probe, reference), rule.at(max(probe, reference)))


def _in_words(pair: PairPenalty) -> str:
    first, second = pair.values
    return f"less {pair.penalty:.3f} because {FAULTS[pair.measure]} ({pair.measure} {first:.2g} and {second:.2g})"
