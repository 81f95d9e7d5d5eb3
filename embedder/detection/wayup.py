"""How sure it is that a face stands upright where it was found: by the detector's score, and by how it leans."""

from cmath import phase
from math import degrees, log10

from ..types import Face

LEAST_TURNED = 1.3  # of a face in a picture that lies, to be taken for one
SURER_BY = 0.5  # than the one found upright: two faces in doubt leave a photo as it stands
SURE = 1.8  # less, and the photo is tried the other ways up too; docs/why.md says what that costs and saves
_LEAST_DOUBT = 1e-6  # scores are no finer than that
_DOUBT_A_DEGREE = 0.03  # false faces in pictures that lie lean to all sides; faces in upright ones rarely beyond 20


def certainty(face: Face) -> float:
    """Minus the decimal logarithm of the score's doubt, less so much for every degree that the face leans."""
    doubt = max(1 - face.score, _LEAST_DOUBT)
    return -log10(doubt) - _DOUBT_A_DEGREE * lean_deg(face)


def lean_deg(face: Face) -> float:
    """The angle between the line from the eyes to the mouth and straight down, 0 to 180 degrees."""
    left_eye, right_eye, _, left_mouth, right_mouth = (complex(*point) for point in face.landmarks)
    down = left_mouth + right_mouth - left_eye - right_eye
    return abs(degrees(phase(down / 1j))) if down else 180.0
