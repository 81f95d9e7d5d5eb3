"""The data types of the pipeline: bytes -> picture -> faces -> chips -> embeddings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import SampleError

SMALLEST_EMBEDDING, LARGEST_EMBEDDING = 64, 1024  # channels; the card says how many

FaceChoice = Literal["dominant", "only", "largest", "center"]  # the rules that select a face
FaceSelector = str | int  # a FaceChoice, `at:x,y`, or an index; see detection.detector.face_selector
QualityChoice = Literal["refuse", "ignore"]  # how to handle a face whose photo is too poor
QUALITY_CHOICES = get_args(QualityChoice)
FacePart = Literal["eyes", "mouth"]
FACE_PARTS = get_args(FacePart)
CoveredPart = FacePart | Literal["both"]
MIN_SPAN, LEAST_SPAN = 64, 8  # grey levels: below the first a picture is flat, below the second it shows nothing
DARK = 50  # mean grey level below which a picture is called dark
LEAST_VISIBLE = 0.65  # a part counts as covered below it: benchmarks/covered_faces.py
Precision = Literal["f32", "bf16", "int8"]  # the numerical precision of the embeddings
PRECISIONS = get_args(Precision)
Rotation = Literal[0, 90, 180, 270]  # degrees clockwise
Point = tuple[float, float]  # x, y in px of the upright picture; (0, 0) is the corner of the first pixel
Pixels = NDArray[np.uint8]  # (height, width, 3), RGB
Chips = NDArray[np.uint8]  # (n, side, side, 3), RGB; side is the card's alignment.chip_size_px
Vectors = NDArray[np.float32]  # (n, channels); the card's architecture.embedding_size
Inputs = NDArray[np.uint8] | NDArray[np.float32]  # pixels (n, height, width, 3), in the range that a network expects
Pass = Callable[[Inputs], tuple[NDArray[np.float32], ...]]  # a network, ready to run: returns an array for each output


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in px of the upright picture; it may extend beyond the picture's edge."""

    x: float  # left edge
    y: float  # top edge
    width: float
    height: float

    @property
    def area(self) -> float:
        """Area in px squared."""
        return self.width * self.height

    @property
    def center(self) -> Point:
        """Centre of the box."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Face:
    """One detected face."""

    box: Box
    landmarks: tuple[Point, ...]  # 5: image-left eye, image-right eye, nose tip, mouth corners image-left, image-right
    score: float  # 0..1, the detector's own confidence
    rotation: Rotation = 0  # of the face in the picture; 0 = upright


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of quality of one face and its photo."""

    eye_distance_px: float  # between the eyes, in px of the picture
    sharpness: float  # strength of edges over contrast, on the chip at half size; about 0.7 is usual, 0.2 blurred
    blockiness: float  # height of steps every 8 px, in grey levels at the chip's scale; below 1.5 is usual
    brightness: float  # mean grey level of the face, 0..255
    contrast: float  # standard deviation of the face's grey levels
    clipped: float  # share of the face that is nearly black or nearly white, 0..1
    turn: float  # yaw: offset of the nose from the middle of the face, in eye distances; 0 = frontal
    detector_score: float  # 0..1, the detector's own confidence
    eyes_visible: float  # share of the region of the eyes that nothing covers, 0..1
    mouth_visible: float  # share of the region of the mouth that nothing covers, 0..1

    @property
    def covered(self) -> float:
        """The covered share of the part that is covered most, 0 to 1."""
        return 1 - min(self.eyes_visible, self.mouth_visible)

    @property
    def covered_part(self) -> CoveredPart | None:
        """The part of the face that counts as covered; None if there is none."""
        covered = [part for part in FACE_PARTS if getattr(self, f"{part}_visible") < LEAST_VISIBLE]
        return "both" if len(covered) > 1 else covered[0] if covered else None


@dataclass(frozen=True, slots=True)
class Grade:
    """The penalty of a face's quality, by the card's rule."""

    penalty: float  # in units of distance; 0 = none. The penalty of a pair is that of its better photo
    is_too_poor: bool  # poorer than nearly all photos that the rule was fitted on


@dataclass(frozen=True, slots=True)
class Sample:
    """The face selected from an image, what selected it, and the quality of the photo."""

    face: Face
    choice: str  # a FaceSelector as text; "all" = every face of the image
    n_faces: int | None  # in the whole picture; None = not counted: no smaller face could have changed the choice
    quality: Quality
    grade: Grade | None = None  # None = not embedded yet, or the card has no rule
    is_stretched: bool = False  # the picture was dark or flat: its grey levels were stretched before all else


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """An aligned face, the network's input, with the face it was cut from."""

    pixels: Pixels  # (side, side, 3)
    sample: Sample


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The name and digests of a model."""

    name: str
    digest: str  # of everything that determines an embedding: "sha256:..."
    card_digest: str  # of the whole card: "sha256:..."


@dataclass(frozen=True, slots=True)
class Timings:
    """The time spent in each stage, in milliseconds, over all images of one call."""

    decode: float
    detect: float  # finding faces, choosing one and cutting its chip
    embed: float


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A face as channels. This is biometric data: protect it like the photo. `repr` does not show it."""

    vector: NDArray[np.float32] = field(repr=False)  # (channels,)
    model: ModelIdentity
    sample: Sample
    timings_ms: Timings


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingBatch:
    """The embeddings of several images, in order: those of each image's faces, or the error of an unusable image."""

    results: tuple[tuple[Embedding, ...] | SampleError, ...]
    model: ModelIdentity
    timings_ms: Timings


@dataclass(frozen=True, slots=True)
class Tone:
    """The brightness of a picture, in grey levels 0..255."""

    mean: float
    low: int  # 1% of the values are lower
    high: int  # 1% of the values are higher

    @property
    def is_stretchable(self) -> bool:
        """Whether the picture is so dark or flat that its grey levels should be stretched."""
        return LEAST_SPAN <= self.high - self.low < MIN_SPAN

    @property
    def fault(self) -> str | None:
        """What is wrong with the light, in words; None if nothing is."""
        if self.mean < DARK:
            return f"the picture is very dark (mean grey {self.mean:.0f} of 255)"
        if self.high - self.low < MIN_SPAN:
            return f"the picture is flat or washed out (its grey levels span {self.high - self.low} of 255)"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """The chips of the selected faces of one image, and the time spent on decoding and detection."""

    chips: tuple[Chip, ...]
    decode_s: float
    detect_s: float

    @property
    def chip(self) -> Chip:
        """The only chip."""
        (chip,) = self.chips
        return chip


class Picture(Protocol):
    """An upright RGB picture at several sizes."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` comes from `factor_for`."""

    def factor_for(self, shrinking: float) -> int:
        """The largest factor that does not exceed `shrinking`, or else the smallest that the picture allows."""
