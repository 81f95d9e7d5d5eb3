"""What a detector is, the built-in one, and the four rules that say which of the faces found is meant.

A face of LEAST_PX on the picture that is looked at is found there. So once faces were found, a larger picture adds
smaller faces only, and a search for the largest face ends where those could not change the answer. What it finds is
then what the whole search would have found.
"""

import hashlib
from cmath import phase
from collections.abc import Callable
from dataclasses import dataclass
from math import degrees
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import NoFace, SeveralFaces
from ..types import Box, Face, FaceChoice, Pass, Picture, Point, Rotation
from ..weights.card import DetectorFacts
from .yunet import (
    BORDER_SHARE,
    MAX_OVERLAP,
    Candidates,
    Canvas,
    Floats,
    areas,
    candidates,
    landmarks_of,
    nested,
    overlapping,
    suppressed,
)


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


SIDES_PX = (160, 320, 640)  # of the picture's longer side, as it is looked at
LEAST_PX = 24.0
SURE = 0.91  # the score of a face that stands upright; docs/why.md says which faces have less
MAX_NESTED = 0.7  # of faces found at several angles: intersection over the smaller box
SHAPES = tuple((1, side, side, 3) for side in (224, 256, 320, 640))  # of all canvases: upright, turned, and larger ones
OTHER_ANGLES = tuple(range(45, 360, 45))  # degrees clockwise
QUARTERS: tuple[Rotation, ...] = (0, 90, 180, 270)


class FaceFinder:
    """A Detector. Safe to call from several threads."""

    def __init__(self, yunet: Pass, onet: Pass) -> None:
        self._yunet, self._onet = yunet, onet

    def __call__(self, photo: Picture, *, least_share: float = 0.0) -> Detections:
        """See Detector."""
        first, *larger = _sides(photo.size)
        found = self._coarsest(photo, first)
        side = first
        for side_px in larger:
            if least_share and _are_settled(found, least_share, _largest_to_come(photo, side)):
                return Detections(self._faces(photo, found, least_share), is_whole=False)
            found = _with_smaller(found, self._look(photo, side_px), _largest_to_come(photo, side))
            side = side_px
        return Detections(self._faces(photo, found, least_share), is_whole=True)

    def _coarsest(self, photo: Picture, side: int) -> Candidates:
        """Look at the smallest picture, and where the largest face is not surely upright, from every other side too."""
        canvas = Canvas.of(photo, side, round(BORDER_SHARE * side))
        found = canvas.back(candidates(self._yunet, canvas.pixels()))
        if len(found) and found.scores[areas(found.boxes).argmax()] >= SURE:
            return found
        for angle in OTHER_ANGLES:
            found = found.and_also(canvas.back(candidates(self._yunet, canvas.pixels(angle), angle=angle)))
        return _without_shells(found.without_doubles())

    def _look(self, photo: Picture, side: int) -> Candidates:
        canvas = Canvas.of(photo, side, 0)
        return canvas.back(candidates(self._yunet, canvas.pixels()))

    def _faces(self, photo: Picture, found: Candidates, least_share: float) -> tuple[Face, ...]:
        """Those that matter, largest first."""
        area = areas(found.boxes)
        order = np.argsort(-area, kind="stable")
        chosen = found.at(order[area[order] >= least_share * area.max(initial=0)])
        landmarks = landmarks_of(self._onet, photo, chosen)
        return tuple(map(_face, chosen.boxes, chosen.scores, landmarks))


def _sides(size: tuple[int, int]) -> list[int]:
    """The sizes to look at: no larger one where the one before is half the photo already."""
    return [SIDES_PX[0], *(side for side in SIDES_PX[1:] if side < max(size))]


def _largest_to_come(photo: Picture, side: int) -> float:
    """The area below which all faces are that a larger picture than that of `side` may add, in px squared."""
    return (LEAST_PX * max(photo.size) / side) ** 2


def _are_settled(found: Candidates, least_share: float, largest_to_come: float) -> bool:
    return len(found) > 0 and largest_to_come <= least_share * float(areas(found.boxes).max())


def _with_smaller(found: Candidates, more: Candidates, largest: float) -> Candidates:
    """Add what a larger picture shows: if there are faces already, only smaller ones, and none of those again."""
    if not len(found) or not len(more):
        return found if len(found) else more
    is_new = ~overlapping(found.boxes, more.boxes, MAX_OVERLAP).any(axis=0)
    return found.and_also(more.at(is_new & (areas(more.boxes) < largest)))


def _without_shells(found: Candidates) -> Candidates:
    """Without boxes around or inside better ones: a face that lies often has a large false one around it."""
    return found.at(suppressed(found.boxes, found.scores, MAX_NESTED, nested)) if len(found) else found


def _face(box: Floats, score: float, landmarks: tuple[Point, ...]) -> Face:
    left, top, right, bottom = box.tolist()
    return Face(Box(left, top, right - left, bottom - top), landmarks, float(score), _rotation(landmarks))


def _rotation(landmarks: tuple[Point, ...]) -> Rotation:
    """By how many quarters a face lies turned, by the line from its eyes to its mouth."""
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*point) for point in landmarks)
    down = left_mouth + right_mouth - left_eye - right_eye
    return QUARTERS[round(degrees(phase(down / 1j)) / 90) % 4] if down else 0
