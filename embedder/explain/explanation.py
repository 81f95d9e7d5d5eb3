"""Explain a comparison by saliency maps, face regions and the channels of the embeddings."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from ..alignment import landmarks_in_chip
from ..decision import Comparison
from ..types import Chip, ModelIdentity, Pixels, Point
from ..weights.card import Alignment, ModelCard
from .occlusion import SaliencyMap, means_of_places

ATLASES = Path(__file__).parent / "atlases"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in two languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """An atlas stored in the package."""

    digest: str  # of the model that the atlas describes
    json: str
    sentences: tuple[Sentence, ...]  # one for each channel


def atlas_file(model_name: str) -> Path:
    """The path of a model's atlas in the package; the file may not exist."""
    return ATLASES / f"{model_name}.json"


def sentences_of(model: ModelIdentity) -> tuple[Sentence, ...] | None:
    """Return a sentence for each channel; None if the package has no atlas of the model."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.sentences


def atlas_json_of(model: ModelIdentity) -> str | None:
    """Return the atlas in the format of `visavis atlas`; None if the package has no atlas of the model."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.json


def _atlas_of(model: ModelIdentity) -> _Kept | None:
    """The atlas of the model with that name and digest: other models may have the same name."""
    atlas = _read(atlas_file(model.name))
    return atlas if atlas is not None and atlas.digest == model.digest else None


@cache
def _read(file: Path) -> _Kept | None:
    if not file.is_file():
        return None
    text = file.read_text("utf-8")
    atlas = json.loads(text)
    sentences = tuple(Sentence(**channel["sentence"]) for channel in atlas["channels"])
    return _Kept(atlas["model_digest"], text, sentences)


Region = Literal[
    "left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "forehead", "chin", "outside"
]  # left and right as in the picture
REGIONS: tuple[Region, ...] = get_args(Region)

# The centre of each region in an upright face, relative to the midpoint of the eyes: to the right in eye distances,
# down in distances from the eyes to the mouth.
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
_MIDDLE, _HALF = (0.0, 0.45), (1.15, 1.6)  # the oval of the face, in the same units

RegionMap = NDArray[np.intp]  # (side, side): places in REGIONS


def regions_of_chip(landmarks: tuple[Point, ...], side_px: int) -> RegionMap:
    """Return the region of each pixel of a chip with these five landmarks, in px."""
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
    """The name of a region with spaces."""
    return region.replace("_", " ")


_N_COARSE = 30  # places along each side

T = TypeVar("T")
SaliencyMethod = Callable[
    [Pixels, NDArray[np.float32]], SaliencyMap
]  # a chip, the embedding (channels,) of the other face -> its map


@dataclass(frozen=True, slots=True)
class RegionShare:
    """The influence of one region of a face on the distance."""

    region: Region
    share: float  # of all influence, 0..1; a face's shares sum to 1, or to 0 if there is no influence
    toward: float  # -share..share: influence that reduces the distance, less influence that increases it


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """The influence of the places and regions of one face on a comparison."""

    map: SaliencyMap = field(repr=False)  # (side, side)
    regions: tuple[RegionShare, ...]  # the largest share first

    @property
    def coarse(self) -> NDArray[np.float64]:
        """The map reduced to (30, 30), rounded to 0.001; the full map has no finer detail."""
        means: NDArray[np.float64] = means_of_places(self.map.astype(np.float64), _N_COARSE).round(3)
        return means


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFace:
    """One of the two compared faces. All of it is biometric data, so repr shows none."""

    chip: Pixels = field(repr=False)  # (side, side, 3)
    landmarks: tuple[Point, ...] = field(repr=False)  # as detected, in px of the chip
    vector: NDArray[np.float32] = field(repr=False)  # (channels,)


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """The contribution of one channel to the distance."""

    channel: int  # from 0
    probe: float = field(repr=False)  # its value
    reference: float = field(repr=False)
    share: float  # of the squared distance, 0..1; the shares sum to 1, or to 0 if the distance is 0
    sentences: Sentence | None = field(repr=False)  # the trait it correlates with; None = the model has no atlas


@dataclass(frozen=True, slots=True)
class ProbeReference(Generic[T]):
    """A pair of values, one for each face."""

    probe: T
    reference: T


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A comparison with its explanation. Explanations concern the raw distance, not the thresholded decision."""

    comparison: Comparison
    sides: ProbeReference[ExplainedFace]
    channels: tuple[ChannelShare, ...]  # all, the largest share first
    saliency: ProbeReference[Saliency] | None  # None = not requested


def explained_face(chip: Chip, vector: NDArray[np.float32], alignment: Alignment) -> ExplainedFace:
    """Return the parts of an explanation that concern one face."""
    return ExplainedFace(chip.pixels, landmarks_in_chip(chip.sample.face.landmarks, alignment), vector)


def explain_comparison(
    comparison: Comparison, sides: ProbeReference[ExplainedFace], card: ModelCard, seek: SaliencyMethod | None
) -> Explanation:
    """Explain a comparison; without the saliency method `seek`, there are no saliency maps."""
    return Explanation(
        comparison,
        sides,
        channel_shares(sides, sentences_of(card.identity("f32"))),
        None if seek is None else pair_saliency(sides, seek, card.alignment),
    )


def pair_saliency(
    sides: ProbeReference[ExplainedFace], seek: SaliencyMethod, alignment: Alignment
) -> ProbeReference[Saliency]:
    """Compute the saliency of each face, with the other face unchanged."""
    regions = regions_of_chip(alignment.points, alignment.chip_size_px)

    def one(side: ExplainedFace, other: ExplainedFace) -> Saliency:
        saliency = seek(side.chip, other.vector)
        return Saliency(saliency, region_shares(saliency, regions))

    return ProbeReference(one(sides.probe, sides.reference), one(sides.reference, sides.probe))


def region_shares(saliency: SaliencyMap, regions: NDArray[np.intp]) -> tuple[RegionShare, ...]:
    """Sum a saliency map (side, side) over regions (side, side); the largest share first."""
    toward = np.bincount(regions.ravel(), saliency.ravel(), len(REGIONS))
    shares = np.bincount(regions.ravel(), np.abs(saliency).ravel(), len(REGIONS))
    whole = shares.sum() or 1.0
    found = zip(REGIONS, shares / whole, toward / whole, strict=True)
    return tuple(sorted((RegionShare(name, float(a), float(b)) for name, a, b in found), key=lambda each: -each.share))


def channel_shares(
    sides: ProbeReference[ExplainedFace], sentences: tuple[Sentence, ...] | None
) -> tuple[ChannelShare, ...]:
    """The contribution of each channel to the squared distance, largest first; ties by channel number."""
    probe, reference = sides.probe.vector.astype(np.float64), sides.reference.vector.astype(np.float64)
    squares = (probe - reference) ** 2
    shares = squares / (squares.sum() or 1.0)
    return tuple(
        ChannelShare(
            channel := int(place),
            float(probe[place]),
            float(reference[place]),
            float(shares[place]),
            None if sentences is None else sentences[channel],
        )
        for place in np.argsort(-shares, kind="stable")
    )
