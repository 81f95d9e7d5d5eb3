"""The facts that an ONNX file does not contain: how chips become its input, whose it is, what it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from ..errors import BundleError, printable
from ..files import parse_toml, read_regular_file
from ..types import Chips
from ..weights.card import Alignment, ChipSide, LandmarkPoint, Preprocessing, Triple
from ..weights.card_parts import CardPart, Finite

MAX_FACTS_BYTES = 2**16
MAX_REASON = 300  # characters of a reason that an error shows
Layout = Literal["nchw", "nhwc"]
ColorOrder = Literal["rgb", "bgr"]
AlignmentName = Literal["arcface", "dlib", "eyes"]
NOT_STATED = "not stated"
CORNER_OFFSET_PX = -0.5  # the detector's landmarks start at the pixel's corner, a card's points at its centre
LEAST_EYES = 0.1  # of the chip's side: the least distance of the eyes, for points in other units than px

# Side of the chip in px and the places of eyes, nose and corners of the mouth in it: insightface's and SFace's points,
# and those of dlib's chips.
FivePoints = tuple[LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint, LandmarkPoint]
ARCFACE: FivePoints = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
DLIB: FivePoints = ((47.3, 45.2), (101.0, 45.2), (74.2, 77.1), (50.1, 103.8), (98.2, 103.8))
# The eyes level, at 35% and 65% of the width and 35% of the height, as imutils' FaceAligner has them; nose and mouth
# where ArcFace's points have them between such eyes.
EYES: FivePoints = ((0.35, 0.35), (0.65, 0.35), (0.5, 0.5214), (0.3758, 0.6964), (0.6242, 0.6964))
ALIGNMENTS: Mapping[AlignmentName, tuple[int, FivePoints]] = {"arcface": (112, ARCFACE), "dlib": (150, DLIB)}


@dataclass(frozen=True, slots=True)
class InputFormat:
    """How pixels become a network's input: x = (pixel - mean) / scale, channels in that order."""

    color_order: ColorOrder
    mean: Triple  # of red, green, blue
    scale: float

    def __str__(self) -> str:
        """In words."""
        if (self.mean, self.scale) == ((0, 0, 0), 1):
            return f"{self.color_order.upper()}, pixel values 0 to 255"
        means = {f"{each:g}" for each in self.mean}
        mean = means.pop() if len(means) == 1 else ", ".join(f"{each:g}" for each in self.mean)
        return f"{self.color_order.upper()}, mean {mean}, scale {self.scale:g}"

    def prepared(self, chips: Chips, layout: Layout) -> NDArray[np.float32]:
        """Return the input for chips, (n, side, side, 3) or (n, 3, side, side)."""
        pictures = (chips.astype(np.float32) - np.array(self.mean, np.float32)) / np.float32(self.scale)
        pictures = pictures[..., ::-1] if self.color_order == "bgr" else pictures
        return np.ascontiguousarray(pictures if layout == "nhwc" else pictures.transpose(0, 3, 1, 2))


class NetworkFacts(CardPart):
    """The facts of one network, as its user states them. Unknown keys are refused."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
    licence: Annotated[str, Field(min_length=1)]
    color_order: ColorOrder
    normalisation: Literal["inside"] | None = None  # the network takes pixel values 0 to 255; else mean and scale
    mean: Finite | Triple | None = None  # of pixel values 0 to 255: one, or those of red, green, blue
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    alignment: AlignmentName | FivePoints
    chip_side: ChipSide | None = None  # px that five given points refer to; None: the network's own side
    input_size: ChipSide | None = None  # px; None: that of the file
    layout: Layout | None = None  # None: that of the file
    unit_length: bool = True
    mirror: bool = False
    source: str = NOT_STATED
    trained_on: str = NOT_STATED
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  # that the file must have

    @model_validator(mode="after")
    def _the_normalisation_is_stated_once(self) -> Self:
        numbers = (self.mean, self.scale)
        if (self.normalisation is None) == (None in numbers) or (self.normalisation and any(numbers)):
            raise ValueError('state either mean and scale, or normalisation = "inside"')
        return self

    @model_validator(mode="after")
    def _a_side_belongs_to_given_points(self) -> Self:
        if self.chip_side is not None and isinstance(self.alignment, str):
            raise ValueError(f"chip_side belongs to five given points; {self.alignment} has its own: omit it")
        return self

    @property
    def input_format(self) -> InputFormat:
        """How chips become the network's input."""
        mean = self.mean or 0.0
        return InputFormat(self.color_order, mean if isinstance(mean, tuple) else (mean, mean, mean), self.scale or 1.0)

    def preprocessing(self, side_px: int) -> Preprocessing:
        """Return what the card states about the input of a network with that side."""
        order: Literal["RGB", "BGR"] = "RGB" if self.color_order == "rgb" else "BGR"
        stated = self.input_format
        return Preprocessing(input_size_px=side_px, color_order=order, mean=stated.mean, scale=stated.scale)

    def alignment_in(self, side_px: int) -> Alignment:
        """Return the alignment of chips of that side, to which the points are scaled. Raises BundleError."""
        if self.alignment == "eyes":
            points = tuple((x * side_px - 0.5, y * side_px - 0.5) for x, y in EYES)
        else:
            side, given = self._points(side_px)
            share = side_px / side  # pixel centres are at integers, so the corner is at -0.5
            points = tuple(((x + 0.5) * share - 0.5, (y + 0.5) * share - 0.5) for x, y in given)
        _require_face(points, side_px)
        return Alignment.model_validate(
            {"chip_size_px": side_px, "points": points, "landmark_offset_px": CORNER_OFFSET_PX}
        )

    def _points(self, side_px: int) -> tuple[int, FivePoints]:
        if isinstance(self.alignment, str):
            return ALIGNMENTS[self.alignment]
        return self.chip_side or side_px, self.alignment


def _require_face(points: Sequence[tuple[float, float]], side_px: int) -> None:
    """Raise BundleError unless these can be places of an upright face in a chip of that side."""
    left, right, _, *mouth = points
    is_upright = min(y for _, y in mouth) > max(left[1], right[1])
    if not is_upright or right[0] - left[0] < LEAST_EYES * side_px:
        raise BundleError(
            f"the facts of the network: alignment: in a chip of {side_px} px these are not the points of a face; state "
            f"x and y in px of eyes, nose and corners of the mouth, image-left first, with {LEAST_EYES * side_px:g} px "
            "or more between the eyes, and the chip_side that they refer to"
        )


def read_facts(path: Path | None, given: Mapping[str, object]) -> NetworkFacts:
    """Return the facts of a TOML file and those `given`, which win. Raises BundleError, which names the key."""
    table: dict[str, object] = {} if path is None else _read_table(path)
    if given.get("normalisation"):
        table = {key: value for key, value in table.items() if key not in ("mean", "scale")}
    elif "mean" in given or "scale" in given:
        table.pop("normalisation", None)
    try:
        return NetworkFacts.model_validate(table | dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = printable(str(first["loc"][0])) if first["loc"] else "normalisation"
        reason = _WORDED.get(first["type"], first["msg"].removeprefix("Value error, "))
        raise BundleError(f"the facts of the network: {key}: {printable(reason, MAX_REASON)}") from error


_WORDED = {
    "missing": "is missing; state it as an option or in the facts' file",
    "extra_forbidden": f"is no such fact; there are {', '.join(NetworkFacts.model_fields)}",
}


def _read_table(path: Path) -> dict[str, object]:
    try:
        return parse_toml(read_regular_file(path, MAX_FACTS_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise BundleError(f"the facts' file cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"the facts' file is not TOML: {printable(str(error))}") from error
