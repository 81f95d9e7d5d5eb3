"""The detector interface, the built-in detector, and what selects one of the detected faces: a rule, point or index.

The built-in detector searches the picture at increasing sizes. At each size it finds faces of LEAST_PX or more, so
after the first detections a larger picture can only add smaller faces. Where a place may hold a face that lies, the
picture is searched again at the other quarter turns, and each face is used the way up that scores highest. A search for
the largest face stops as soon as smaller faces cannot change the result, which is therefore the same as that of a
complete search.
"""

import hashlib
import re
from cmath import phase
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import degrees, inf
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import NoFace, NoSuchFace, SeveralFaces
from ..types import Box, Face, FaceSelector, Pass, Picture, Point, Rotation
from ..weights.card import DetectorFacts
from .yunet import (
    BORDER_SHARE,
    MAX_FACES,
    MAX_OVERLAP,
    MIN_SCORE,
    Candidates,
    Canvas,
    Flags,
    Floats,
    areas,
    candidates,
    containment_above,
    iou_above,
    landmarks_of,
    non_maximum_suppression,
)


@dataclass(frozen=True, eq=False)
class Detections:
    """The boxes of detected faces, largest first. If not `is_whole`, the search stopped before smaller faces.

    Landmarks are located only for the faces that are asked for, because they cost most in a crowd.
    """

    boxes: tuple[Box, ...]
    is_whole: bool
    locate: Callable[[Sequence[int]], tuple[Face, ...]]  # indices of boxes -> their faces

    @cached_property
    def faces(self) -> tuple[Face, ...]:
        """All faces."""
        return self.locate(range(len(self.boxes)))

    @property
    def n_faces(self) -> int | None:
        """The number of faces; None if it is not known."""
        return len(self.boxes) if self.is_whole else None


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

Rule = Callable[[Detections, Point], int]  # -> the index of a box


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
    if not found.boxes:
        raise NoFace
    (face,) = found.locate([_rule_of(choice)(found, picture_center)])
    return face


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


def _best(found: Detections, key: Callable[[Box], float]) -> int:
    """The index of the box with the least key, the first of several."""
    return min(range(len(found.boxes)), key=lambda index: key(found.boxes[index]))


def _largest(found: Detections, _: Point) -> int:
    return _best(found, lambda box: -box.area)


def _dominant(found: Detections, picture_center: Point) -> int:
    largest = _largest(found, picture_center)
    rivals = (box for index, box in enumerate(found.boxes) if index != largest)
    if any(box.area >= RIVAL_SHARE * found.boxes[largest].area for box in rivals):
        raise SeveralFaces(
            len(found.boxes),
            f"found {len(found.boxes)} faces, and the largest does not clearly dominate; "
            "send a crop with one face, or choose face=largest or face=center",
        )
    return largest


def _only(found: Detections, _: Point) -> int:
    if len(found.boxes) > 1:
        raise SeveralFaces(
            len(found.boxes),
            f"found {len(found.boxes)} faces where only one is allowed; send a crop, or choose another face rule",
        )
    return 0


def _center(found: Detections, picture_center: Point) -> int:
    return _best(found, lambda box: _distance_squared(box.center, picture_center))


def _at_point(found: Detections, _: Point, *, point: Point) -> int:
    def distance(index: int) -> float:
        return _distance_squared(found.boxes[index].center, point)

    by_distance = sorted(range(len(found.boxes)), key=distance)
    around = [index for index in by_distance if _is_inside(point, found.boxes[index])]
    if not around:
        nearest = by_distance[0]
        x, y = found.boxes[nearest].center
        raise NoSuchFace(
            len(found.boxes),
            f"no face contains the point {point[0]:g},{point[1]:g}; found {_counted(found.boxes)}, and the nearest has "
            f"its centre at {x:.0f},{y:.0f} (at:{x:.0f},{y:.0f} or index {nearest} selects it)",
        )
    return around[0]


def _is_inside(point: Point, box: Box) -> bool:
    return 0 <= point[0] - box.x <= box.width and 0 <= point[1] - box.y <= box.height


def _at_index(found: Detections, _: Point, *, index: int) -> int:
    if index >= len(found.boxes):
        raise NoSuchFace(
            len(found.boxes),
            f"there is no face with index {index}; found {_counted(found.boxes)}, the largest with index 0 and the "
            f"smallest with index {len(found.boxes) - 1}",
        )
    return index


def _counted(boxes: tuple[Box, ...]) -> str:
    return "1 face" if len(boxes) == 1 else f"{len(boxes)} faces"


def _distance_squared(a: Point, b: Point) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


RULES: dict[str, Rule] = {"dominant": _dominant, "only": _only, "largest": _largest, "center": _center}


SIDES_PX = (160, 320, 640)  # longer sides of the picture at which faces are searched
LEAST_PX = 24.0
SURE = 0.91  # the least score of a surely upright face; docs/why.md describes faces with lower scores
DOUBTFUL = 0.75  # a largest face with a lower score is often false
HINT = 0.04  # the least score of a place that may hold a face which lies: docs/why.md
MIN_TURNED_SCORE = 0.8  # of a face that is found beside others, or at a larger size, only by turning the picture
SLACK = 0.8  # of the area of a place that may hold another face: it is known roughly
MAX_NESTED = 0.7  # of faces found at several angles: intersection over the smaller box
MAX_COVERED = 0.3  # of a place that may hold another face, by a face: intersection over the smaller box
SHAPES = tuple(
    (1, side, side, 3) for side in (160, 224, 256, 320, 640)
)  # of all canvases: upright, rotated, and larger ones
QUARTERS: tuple[Rotation, ...] = (0, 90, 180, 270)  # degrees clockwise
OTHER_ANGLES = tuple(range(45, 360, 45))


class CoarseToFineDetector:
    """The built-in Detector. Thread-safe."""

    def __init__(self, yunet: Pass, onet: Pass) -> None:
        self._yunet, self._onet = yunet, onet

    def __call__(self, photo: Picture, *, min_area_ratio: float = 0.0) -> Detections:
        """See Detector."""
        first, *larger = _sides(photo.size)
        found = self._detect_coarsest(photo, first, min_area_ratio)
        side = first
        for side_px in larger:
            to_come = _largest_to_come(photo, side)
            if min_area_ratio and _are_settled(found, min_area_ratio, to_come):
                return self._detections(photo, found, min_area_ratio, is_whole=False)
            found = self._with_smaller(photo, side_px, found, to_come)
            side = side_px
        return self._detections(photo, found, min_area_ratio, is_whole=True)

    def _detect_coarsest(self, photo: Picture, side: int, min_area_ratio: float) -> Candidates:
        """Search the smallest picture; if the largest face is not surely upright, search it rotated as well."""
        canvas = Canvas.of(photo, side, round(BORDER_SHARE * side))
        seen = self._seen(canvas)
        found = seen.at(seen.scores >= MIN_SCORE)
        area = areas(found.boxes)
        if len(found) and found.scores[area.argmax()] >= SURE:
            least = max(SLACK * min_area_ratio * float(area.max()), _smallest_face(photo, side))
            hints = _has_hint(seen, found, photo.size, (least, inf))
            return self._surest_way_up(canvas.without_border(), found) if hints else found
        for angle in OTHER_ANGLES:
            found = found.and_also(canvas.to_photo(candidates(self._yunet, canvas.pixels(angle), angle=angle)))
        return _without_shells(found.without_doubles())

    def _with_smaller(self, photo: Picture, side: int, found: Candidates, to_come: float) -> Candidates:
        """Add the faces found in a larger picture; where one may lie or none was found, search it rotated as well."""
        canvas = Canvas.of(photo, side, 0)
        seen = self._seen(canvas)
        more = seen.at(seen.scores >= MIN_SCORE)
        both, limits = found.and_also(more), (_smallest_face(photo, side), to_come)
        if not len(both) or _has_hint(seen, both, photo.size, limits):
            more = self._surest_way_up(canvas, more)
        found = _without_false(found, more)
        return found.and_also(_new_and_smaller(found, more, to_come))

    def _seen(self, canvas: Canvas) -> Candidates:
        """The upright faces and whatever resembles one a little, best first."""
        return canvas.to_photo(candidates(self._yunet, canvas.pixels(), min_score=HINT))

    def _surest_way_up(self, canvas: Canvas, upright: Candidates) -> Candidates:
        """Search a picture at the other quarter turns; keep each face the way up that scores highest."""
        turned = [
            canvas.to_photo(candidates(self._yunet, canvas.pixels(angle), angle=angle, min_score=MIN_TURNED_SCORE))
            for angle in QUARTERS[1:]
        ]
        lying = _without_shells(turned[0].and_also(turned[1]).and_also(turned[2]).without_doubles())
        clash = _is_same_face(upright, lying)
        is_surer = ~(clash & (upright.scores[:, None] >= lying.scores)).any(axis=0)
        is_upright = ~clash[:, is_surer].any(axis=1)
        return upright.at(np.flatnonzero(is_upright)).and_also(lying.at(np.flatnonzero(is_surer)))

    def _detections(self, photo: Picture, found: Candidates, min_area_ratio: float, *, is_whole: bool) -> Detections:
        """The faces of at least `min_area_ratio` of the largest one's area, largest first."""
        area = areas(found.boxes)
        order = np.argsort(-area, kind="stable")
        chosen = found.at(order[area[order] >= min_area_ratio * area.max(initial=0)][:MAX_FACES])

        def locate(indices: Sequence[int]) -> tuple[Face, ...]:
            asked = chosen.at(np.array(indices, np.intp))
            return tuple(map(_face, asked.boxes, asked.scores, landmarks_of(self._onet, photo, asked)))

        return Detections(tuple(map(_box, chosen.boxes)), is_whole, locate)


def _sides(size: tuple[int, int]) -> list[int]:
    """The sizes to search, smallest first; only the first may exceed the photo's own size."""
    return [SIDES_PX[0], *(side for side in SIDES_PX[1:] if side < max(size))]


def _largest_to_come(photo: Picture, side: int) -> float:
    """Upper limit of the area of faces that a picture larger than `side` may add, in px squared."""
    return (LEAST_PX * max(photo.size) / side) ** 2


def _are_settled(found: Candidates, min_area_ratio: float, largest_to_come: float) -> bool:
    if not len(found):
        return False
    area = areas(found.boxes)
    return bool(found.scores[area.argmax()] >= DOUBTFUL and largest_to_come <= min_area_ratio * area.max())


def _new_and_smaller(found: Candidates, more: Candidates, largest: float) -> Candidates:
    """The faces of a larger picture that are new and smaller than `largest`; all of them, if none was found before."""
    if not len(found) or not len(more):
        return more
    is_new = ~iou_above(found.boxes, more.boxes, MAX_OVERLAP).any(axis=0)
    return more.at(is_new & (areas(more.boxes) < largest))


def _without_false(found: Candidates, more: Candidates) -> Candidates:
    """Remove doubtful faces around a smaller and surer one, as around the photo on a document, or another way up."""
    is_surer = found.scores[:, None] < np.minimum(DOUBTFUL, more.scores)
    is_another = (2 * areas(more.boxes) < areas(found.boxes)[:, None]) | (found.angles[:, None] != more.angles)
    is_false = _is_same_face(found, more) & is_surer & is_another
    return found.at(np.flatnonzero(~is_false.any(axis=1)))


def _smallest_face(photo: Picture, side: int) -> float:
    """Half the area of the smallest face that is surely found in a picture of this size, in px of the photo squared."""
    return _largest_to_come(photo, side) / 2


def _has_hint(seen: Candidates, found: Candidates, size: tuple[int, int], limits: tuple[float, float]) -> bool:
    """Whether a place with an area within the limits, in px squared, may hold a face that lies.

    It is at least half inside the photo, no face that is surely upright, and beside all such faces.
    """
    area = areas(seen.boxes)
    inside = np.clip(seen.boxes, 0, np.array(size * 2))
    is_place = (seen.scores < SURE) & (area >= limits[0]) & (area < limits[1]) & (2 * areas(inside) >= area)
    sure = found.boxes[found.scores >= SURE]
    return bool((is_place & ~containment_above(sure, seen.boxes, MAX_COVERED).any(axis=0)).any())


def _is_same_face(ones: Candidates, others: Candidates) -> Flags:
    """Whether the boxes of two faces overlap or lie inside each other: (n, m)."""
    overlap = iou_above(ones.boxes, others.boxes, MAX_OVERLAP)
    return overlap | containment_above(ones.boxes, others.boxes, MAX_NESTED)


def _without_shells(found: Candidates) -> Candidates:
    """Remove boxes around or inside better ones: a rotated face often has a large false detection around it."""
    return (
        found.at(non_maximum_suppression(found.boxes, found.scores, MAX_NESTED, containment_above))
        if len(found)
        else found
    )


def _box(edges: Floats) -> Box:
    left, top, right, bottom = edges.tolist()
    return Box(left, top, right - left, bottom - top)


def _face(edges: Floats, score: float, landmarks: tuple[Point, ...]) -> Face:
    return Face(_box(edges), landmarks, float(score), _rotation(landmarks))


def _rotation(landmarks: tuple[Point, ...]) -> Rotation:
    """The rotation of a face, to the nearest quarter, from the line between its eyes and mouth."""
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*point) for point in landmarks)
    down = left_mouth + right_mouth - left_eye - right_eye
    return QUARTERS[round(degrees(phase(down / 1j)) / 90) % 4] if down else 0
