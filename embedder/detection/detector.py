"""What a detector is, the files of the built-in one, and the four rules that say which of the faces found is meant."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..errors import NoFace, SeveralFaces
from ..types import Face, FaceChoice, Point
from ..weights.card import DetectorFacts


class Picture(Protocol):
    """An upright RGB picture at several sizes."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` is one of photo.FACTORS."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces, largest first; not `is_whole` = the search ended before smaller ones could be found."""

    faces: tuple[Face, ...]
    is_whole: bool

    @property
    def n_faces(self) -> int | None:
        """How many faces there are; None where that is not known."""
        return len(self.faces) if self.is_whole else None


class Detector(Protocol):
    """Finds faces. Safe to call from several threads."""

    def __call__(self, photo: Picture, *, least_share: float = 0.0) -> Detections:
        """Find the faces of at least that share of the largest one's area; 0 finds all.

        Smaller ones may be among those found, or not.
        """


YUNET, ONET = (Path(__file__).parent / f"{name}.onnx" for name in ("yunet", "onet"))
NAME = "yunet+onet/1"  # the number is raised when a change of the code moves faces or landmarks


def built_in_detector() -> DetectorFacts:
    """The facts of the detector that is built in, as a card states them."""
    digest = hashlib.sha256(YUNET.read_bytes() + ONET.read_bytes()).hexdigest()
    return DetectorFacts(name=NAME, weights_sha256=f"sha256:{digest}")


RIVAL_SHARE = 0.5  # a second face of at least this share of the largest one's area makes "dominant" undecided

Rule = Callable[[Detections, Point], Face]


def choose(found: Detections, choice: FaceChoice, picture_center: Point) -> Face:
    """Return the one face that `choice` means; raise NoFace or SeveralFaces where it means none."""
    if not found.faces:
        raise NoFace
    return RULES[choice](found, picture_center)


def least_share(choice: FaceChoice) -> float:
    """How large a face must be to matter to `choice`, as a share of the largest one's area; 0 = every face matters.

    The largest is looked for as long as the dominant one: at finer scales it may be found more exactly.
    """
    return RIVAL_SHARE if choice in ("dominant", "largest") else 0.0


def _largest(found: Detections, _: Point) -> Face:
    return max(found.faces, key=lambda face: face.box.area)


def _dominant(found: Detections, picture_center: Point) -> Face:
    largest = _largest(found, picture_center)
    if any(face is not largest and face.box.area >= RIVAL_SHARE * largest.box.area for face in found.faces):
        raise SeveralFaces(
            len(found.faces),
            f"found {len(found.faces)} faces, and the largest does not clearly dominate; "
            "send a crop with one face, or choose face=largest or face=center",
        )
    return largest


def _only(found: Detections, _: Point) -> Face:
    if len(found.faces) > 1:
        raise SeveralFaces(
            len(found.faces),
            f"found {len(found.faces)} faces where only one may be; send a crop, or choose another face rule",
        )
    return found.faces[0]


def _center(found: Detections, picture_center: Point) -> Face:
    return min(found.faces, key=lambda face: _distance_squared(face.box.center, picture_center))


def _distance_squared(a: Point, b: Point) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


RULES: dict[FaceChoice, Rule] = {"dominant": _dominant, "only": _only, "largest": _largest, "center": _center}
