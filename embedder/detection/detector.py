"""What finds faces, as everything else knows it: a photo in, faces with score and five landmarks out."""

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from ..types import Face


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
