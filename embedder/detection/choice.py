"""Which of the faces found is meant: four named rules, none of them a silent pick."""

from collections.abc import Callable, Sequence

from ..errors import NoFace, SeveralFaces
from ..types import Face, FaceChoice, Point

RIVAL_SHARE = 0.5  # a second face of at least this share of the largest one's area makes "dominant" undecided

Rule = Callable[[Sequence[Face], Point], Face]


def choose(faces: Sequence[Face], choice: FaceChoice, picture_center: Point) -> Face:
    """Return the one face that `choice` means; raise NoFace or SeveralFaces where it means none."""
    if not faces:
        raise NoFace
    return RULES[choice](faces, picture_center)


def _largest(faces: Sequence[Face], _: Point) -> Face:
    return max(faces, key=lambda face: face.box.area)


def _dominant(faces: Sequence[Face], picture_center: Point) -> Face:
    largest = _largest(faces, picture_center)
    if any(face is not largest and face.box.area >= RIVAL_SHARE * largest.box.area for face in faces):
        raise SeveralFaces(
            len(faces),
            f"found {len(faces)} faces, and the largest does not clearly dominate; "
            "send a crop with one face, or choose face=largest or face=center",
        )
    return largest


def _only(faces: Sequence[Face], _: Point) -> Face:
    if len(faces) > 1:
        raise SeveralFaces(
            len(faces), f"found {len(faces)} faces where only one may be; send a crop, or choose another face rule"
        )
    return faces[0]


def _center(faces: Sequence[Face], picture_center: Point) -> Face:
    return min(faces, key=lambda face: _distance_squared(face.box.center, picture_center))


def _distance_squared(a: Point, b: Point) -> float:
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


RULES: dict[FaceChoice, Rule] = {"dominant": _dominant, "only": _only, "largest": _largest, "center": _center}
