"""The detector interface, the built-in detector, and what selects one of the detected faces: a rule, point or index.

The built-in detector searches the picture at increasing sizes. At each size it finds faces of LEAST_PX or more, so
after the first detections a larger picture can only add smaller faces. A search for the largest face stops as soon as
smaller faces cannot change the result, which is therefore the same as that of a complete search.
"""

import hashlib
import re
from cmath import phase
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import degrees
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import NoFace, NoSuchFace, SeveralFaces
from ..types import Box, Face, FaceSelector, Pass, Picture, Point, Rotation
from ..weights.card import DetectorFacts
from .yunet import (
    BORDER_SHARE,
    MAX_OVERLAP,
    Candidates,
    Canvas,
    Floats,
    areas,
    candidates,
    containment_above,
    iou_above,
    landmarks_of,
    non_maximum_suppression,
)


@dataclass(frozen=True, slots=True)
class Detections:
    """Detected faces, largest first. If not `is_whole`, the search stopped before it could find smaller ones."""

    faces: tuple[Face, ...]
    is_whole: bool

    @property
    def n_faces(self) -> int | None:
        """The number of faces; None if it is not known."""
        return len(self.faces) if self.is_whole else None


class Detector(Protocol):
    """Finds faces. Thread-safe."""

    def __call__(self, photo: Picture, *, min_area_ratio: float = 0.0) -> Detections:
        """Find all faces of at least `min_area_ratio` of the largest face's area; 0 finds all.

        The result may or may not contain smaller faces.
        """


YUNET, ONET = (Path(__file__).parent / f"{name}.onnx" for name in ("yunet", "onet"))
NAME = "yunet+onet/1"  # the number increases when a code change moves faces or landmarks


def built_in_detector() -> DetectorFacts:
    """Return the name and digest of the built-in detector, as a card states them."""
    digest = hashlib.sha256(YUNET.read_bytes() + ONET.read_bytes()).hexdigest()
    return DetectorFacts(name=NAME, weights_sha256=f"sha256:{digest}")


RIVAL_SHARE = 0.5  # a second face of at least this share of the largest one's area makes "dominant" ambiguous

Rule = Callable[[Detections, Point], Face]


FACE_PATTERN = r"dominant|only|largest|center|at:-?\d{1,6}(\.\d{1,6})?,-?\d{1,6}(\.\d{1,6})?|0|[1-9]\d{0,5}"
FACE_FORMS = (
    "dominant, only, largest, center, at:x,y (a point on the face, in px of the upright picture) or the index of the "
    "face in the list of detected faces, from 0"
)
AT = "at:"


def face_selector(given: FaceSelector) -> str:
    """Return what selects a face, as text: a rule's name, `at:x,y`, or an index. Raises ValueError for anything else.

    `at:x,y` is a point in px of the upright picture; the index is the face's place in the list that `detect` returns.
    """
    if isinstance(given, bool) or not re.fullmatch(FACE_PATTERN, str(given), re.ASCII):
        hint = "; embed_all and embed_many embed every face" if given == "all" else ""
        raise ValueError(f"a face is selected by {FACE_FORMS}; not by {given!r}{hint}")
    return str(given)


def select_face(found: Detections, choice: str, picture_center: Point) -> Face:
    """Return the face that `choice`, a `face_selector`, selects.

    Raises NoFace, SeveralFaces or NoSuchFace if it selects none.
    """
    if not found.faces:
        raise NoFace
    return _rule_of(choice)(found, picture_center)


def _rule_of(choice: str) -> Rule:
    if choice in RULES:
        return RULES[choice]
    if choice.startswith(AT):
        x, y = map(float, choice.removeprefix(AT).split(","))
        return partial(_at_point, point=(x, y))
    return partial(_at_index, index=int(choice))


def min_area_ratio_of(choice: str) -> float:
    """The least area of a face that can affect `choice`, as a share of the largest face's area; 0 = every face can.

    "largest" searches as long as "dominant" does, because finer scales may locate the face more exactly.
    """
    return RIVAL_SHARE if choice in ("dominant", "largest") else 0.0


def is_one_face(first: Face, second: Face) -> bool:
    """Whether two detections in one picture are the same face: whether their boxes overlap as only one face's do.

    Two faces of one picture for which this is False are normally two people. The exception is a picture of the person
    in the picture: a document, a screen, a mirror.
    """
    return bool(iou_above(_edges(first.box), _edges(second.box), MAX_OVERLAP)[0, 0])


def _edges(box: Box) -> Floats:
    return np.array([[box.x, box.y, box.x + box.width, box.y + box.height]])


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
            f"found {len(found.faces)} faces where only one is allowed; send a crop, or choose another face rule",
        )
    return found.faces[0]


def _center(found: Detections, picture_center: Point) -> Face:
    return min(found.faces, key=lambda face: _distance_squared(face.box.center, picture_center))


def _at_point(found: Detections, _: Point, *, point: Point) -> Face:
    by_distance = sorted(found.faces, key=lambda face: _distance_squared(face.box.center, point))
    around = [face for face in by_distance if _is_inside(point, face.box)]
    if not around:
        (x, y), nearest = by_distance[0].box.center, found.faces.index(by_distance[0])
        raise NoSuchFace(
            len(found.faces),
            f"no face contains the point {point[0]:g},{point[1]:g}; found {_counted(found.faces)}, and the nearest has "
            f"its centre at {x:.0f},{y:.0f} (at:{x:.0f},{y:.0f} or index {nearest} selects it)",
        )
    return around[0]


def _is_inside(point: Point, box: Box) -> bool:
    return 0 <= point[0] - box.x <= box.width and 0 <= point[1] - box.y <= box.height


def _at_index(found: Detections, _: Point, *, index: int) -> Face:
    if index >= len(found.faces):
        raise NoSuchFace(
            len(found.faces),
            f"there is no face with index {index}; found {_counted(found.faces)}, the largest with index 0 and the "
            f"smallest with index {len(found.faces) - 1}",
        )
    return found.faces[index]


def _counted(faces: tuple[Face, ...]) -> str:
    return "1 face" if len(faces) == 1 else f"{len(faces)} faces"


def _distance_squared(a: Point, b: Point) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


RULES: dict[str, Rule] = {"dominant": _dominant, "only": _only, "largest": _largest, "center": _center}


SIDES_PX = (160, 320, 640)  # longer sides of the picture at which faces are searched
LEAST_PX = 24.0
SURE = 0.91  # the least score of a surely upright face; docs/why.md describes faces with lower scores
MAX_NESTED = 0.7  # of faces found at several angles: intersection over the smaller box
SHAPES = tuple(
    (1, side, side, 3) for side in (224, 256, 320, 640)
)  # of all canvases: upright, rotated, and larger ones
OTHER_ANGLES = tuple(range(45, 360, 45))  # degrees clockwise
QUARTERS: tuple[Rotation, ...] = (0, 90, 180, 270)


class CoarseToFineDetector:
    """The built-in Detector. Thread-safe."""

    def __init__(self, yunet: Pass, onet: Pass) -> None:
        self._yunet, self._onet = yunet, onet

    def __call__(self, photo: Picture, *, min_area_ratio: float = 0.0) -> Detections:
        """See Detector."""
        first, *larger = _sides(photo.size)
        found = self._detect_coarsest(photo, first)
        side = first
        for side_px in larger:
            if min_area_ratio and _are_settled(found, min_area_ratio, _largest_to_come(photo, side)):
                return Detections(self._faces(photo, found, min_area_ratio), is_whole=False)
            found = _with_smaller(found, self._detect_at(photo, side_px), _largest_to_come(photo, side))
            side = side_px
        return Detections(self._faces(photo, found, min_area_ratio), is_whole=True)

    def _detect_coarsest(self, photo: Picture, side: int) -> Candidates:
        """Search the smallest picture; if the largest face is not surely upright, search it rotated as well."""
        canvas = Canvas.of(photo, side, round(BORDER_SHARE * side))
        found = canvas.to_photo(candidates(self._yunet, canvas.pixels()))
        if len(found) and found.scores[areas(found.boxes).argmax()] >= SURE:
            return found
        for angle in OTHER_ANGLES:
            found = found.and_also(canvas.to_photo(candidates(self._yunet, canvas.pixels(angle), angle=angle)))
        return _without_shells(found.without_doubles())

    def _detect_at(self, photo: Picture, side: int) -> Candidates:
        canvas = Canvas.of(photo, side, 0)
        return canvas.to_photo(candidates(self._yunet, canvas.pixels()))

    def _faces(self, photo: Picture, found: Candidates, min_area_ratio: float) -> tuple[Face, ...]:
        """The faces of at least `min_area_ratio` of the largest one's area, with landmarks, largest first."""
        area = areas(found.boxes)
        order = np.argsort(-area, kind="stable")
        chosen = found.at(order[area[order] >= min_area_ratio * area.max(initial=0)])
        landmarks = landmarks_of(self._onet, photo, chosen)
        return tuple(map(_face, chosen.boxes, chosen.scores, landmarks))


def _sides(size: tuple[int, int]) -> list[int]:
    """The sizes to search, smallest first; only the first may exceed the photo's own size."""
    return [SIDES_PX[0], *(side for side in SIDES_PX[1:] if side < max(size))]


def _largest_to_come(photo: Picture, side: int) -> float:
    """Upper limit of the area of faces that a picture larger than `side` may add, in px squared."""
    return (LEAST_PX * max(photo.size) / side) ** 2


def _are_settled(found: Candidates, min_area_ratio: float, largest_to_come: float) -> bool:
    return len(found) > 0 and largest_to_come <= min_area_ratio * float(areas(found.boxes).max())


def _with_smaller(found: Candidates, more: Candidates, largest: float) -> Candidates:
    """Add the faces found in a larger picture; after earlier detections, only new and smaller ones."""
    if not len(found) or not len(more):
        return found if len(found) else more
    is_new = ~iou_above(found.boxes, more.boxes, MAX_OVERLAP).any(axis=0)
    return found.and_also(more.at(is_new & (areas(more.boxes) < largest)))


def _without_shells(found: Candidates) -> Candidates:
    """Remove boxes around or inside better ones: a rotated face often has a large false detection around it."""
    return (
        found.at(non_maximum_suppression(found.boxes, found.scores, MAX_NESTED, containment_above))
        if len(found)
        else found
    )


def _face(box: Floats, score: float, landmarks: tuple[Point, ...]) -> Face:
    left, top, right, bottom = box.tolist()
    return Face(Box(left, top, right - left, bottom - top), landmarks, float(score), _rotation(landmarks))


def _rotation(landmarks: tuple[Point, ...]) -> Rotation:
    """The rotation of a face, to the nearest quarter, from the line between its eyes and mouth."""
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*point) for point in landmarks)
    down = left_mouth + right_mouth - left_eye - right_eye
    return QUARTERS[round(degrees(phase(down / 1j)) / 90) % 4] if down else 0
