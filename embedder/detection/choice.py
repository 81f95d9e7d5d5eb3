"""Which of the faces found is meant: four named rules, none of them a silent pick."""

from collections.abc import Callable

from ..errors import NoFace, SeveralFaces
from ..types import Face, FaceChoice, Point
from .detector import Detections

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
