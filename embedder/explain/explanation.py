"""Why two faces matched or not: which places and regions of each, and which of the 128 channels, by how much."""

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
    """One thing said in two languages."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """An atlas, as it lies in the package."""

    digest: str  # of the model that it was made of
    json: str
    sentences: tuple[Sentence, ...]  # 128


def atlas_file(model_name: str) -> Path:
    """Where the atlas of the model of that name lies, if the package has one."""
    return ATLASES / f"{model_name}.json"


def sentences_of(model: ModelIdentity) -> tuple[Sentence, ...] | None:
    """A sentence for each of the 128 channels; None for a model that no atlas was made of."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.sentences


def atlas_json_of(model: ModelIdentity) -> str | None:
    """The atlas as `visavis atlas` writes it; None for a model that none was made of."""
    atlas = _atlas_of(model)
    return None if atlas is None else atlas.json


def _atlas_of(model: ModelIdentity) -> _Kept | None:
    """A name may be anybody's: only the digest says that the embeddings are those that the atlas is about."""
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


_N_COARSE = 30  # places along each side

T = TypeVar("T")
SaliencyMethod = Callable[
    [Pixels, NDArray[np.float32]], SaliencyMap
]  # a chip, the embedding (128,) of the other face -> its map


@dataclass(frozen=True, slots=True)
class RegionShare:
    """What one region of a face does to the distance."""

    region: Region
    share: float  # of all influence, 0..1; those of a face add up to 1, or to 0 where nothing has any
    toward: float  # -share..share: how much of it brings the faces together, less how much drives them apart


@dataclass(frozen=True, slots=True, eq=False)
class Saliency:
    """Which places of a face matter to a comparison."""

    map: SaliencyMap = field(repr=False)  # (side, side)
    regions: tuple[RegionShare, ...]  # the largest share first

    @property
    def coarse(self) -> NDArray[np.float64]:
        """The map in 30 by 30 places, (30, 30), to the thousandth: it is smoother than that."""
        means: NDArray[np.float64] = means_of_places(self.map.astype(np.float64), _N_COARSE).round(3)
        return means


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedFace:
    """One of the two faces that were compared. Biometric data, all of it: repr shows none."""

    chip: Pixels = field(repr=False)  # (side, side, 3)
    landmarks: tuple[Point, ...] = field(repr=False)  # as detected, in px of the chip
    vector: NDArray[np.float32] = field(repr=False)  # (128,)


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """What one of the 128 channels adds to the distance."""

    channel: int  # from 0
    probe: float = field(repr=False)  # its value
    reference: float = field(repr=False)
    share: float  # of the squared distance, 0..1; they add up to 1, or to 0 where the faces are at distance 0
    sentences: Sentence | None = field(repr=False)  # what it goes with; None = the model has no atlas


@dataclass(frozen=True, slots=True)
class ProbeReference(Generic[T]):
    """The same of both faces."""

    probe: T
    reference: T


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A comparison and the reasons for it. They are of the plain distance, before any threshold."""

    comparison: Comparison
    sides: ProbeReference[ExplainedFace]
    channels: tuple[ChannelShare, ...]  # all 128, the largest share first
    saliency: ProbeReference[Saliency] | None  # None = not asked for


def explained_face(chip: Chip, vector: NDArray[np.float32], alignment: Alignment) -> ExplainedFace:
    """Put together what is known of one face."""
    return ExplainedFace(chip.pixels, landmarks_in_chip(chip.sample.face.landmarks, alignment), vector)


def explain_comparison(
    comparison: Comparison, sides: ProbeReference[ExplainedFace], card: ModelCard, seek: SaliencyMethod | None
) -> Explanation:
    """Find the reasons for a comparison; the places that matter only with something to seek them by."""
    return Explanation(
        comparison,
        sides,
        channel_shares(sides, sentences_of(card.identity("f32"))),
        None if seek is None else pair_saliency(sides, seek, card.alignment),
    )


def pair_saliency(
    sides: ProbeReference[ExplainedFace], seek: SaliencyMethod, alignment: Alignment
) -> ProbeReference[Saliency]:
    """Find which places of each face matter, the other one being as it is."""
    regions = regions_of_chip(alignment.points, alignment.chip_size_px)

    def one(side: ExplainedFace, other: ExplainedFace) -> Saliency:
        found = seek(side.chip, other.vector)
        return Saliency(found, region_shares(found, regions))

    return ProbeReference(one(sides.probe, sides.reference), one(sides.reference, sides.probe))


def region_shares(saliency: SaliencyMap, regions: NDArray[np.intp]) -> tuple[RegionShare, ...]:
    """What each region has of a map, (side, side) both, the largest share first."""
    toward = np.bincount(regions.ravel(), saliency.ravel(), len(REGIONS))
    shares = np.bincount(regions.ravel(), np.abs(saliency).ravel(), len(REGIONS))
    whole = shares.sum() or 1.0
    found = zip(REGIONS, shares / whole, toward / whole, strict=True)
    return tuple(sorted((RegionShare(name, float(a), float(b)) for name, a, b in found), key=lambda each: -each.share))


def channel_shares(
    sides: ProbeReference[ExplainedFace], sentences: tuple[Sentence, ...] | None
) -> tuple[ChannelShare, ...]:
    """What each channel adds to the squared distance, the largest share first; of equal ones the lower number."""
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
