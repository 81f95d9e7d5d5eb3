"""One photo at 1, 1/2, 1/4 or 1/8 of its size, each made when it is first asked for.

A large JPEG is decoded at a fraction of its size (libjpeg then computes fewer pixels), and again, larger, only where a
face is too small for that.
"""

from collections.abc import Callable

from PIL import Image

FACTORS = (8, 4, 2, 1)
FIRST_SIDE_PX = 320  # the longer side that the first decoding leaves at least: most faces need no second one


class Photo:
    """Upright, RGB. Not safe to use from several threads at a time."""

    def __init__(self, size: tuple[int, int], decode: Callable[[int], Image.Image]) -> None:
        """`decode` gives the picture at 1/factor of `size` (rounded up), or whole; the first decoding is done here."""
        self.size = size  # width, height, in px
        self._decode = decode
        self._at: dict[int, Image.Image] = {}
        self._take(next(factor for factor in FACTORS if factor == 1 or _is_left_large(size, factor)))

    @classmethod
    def of(cls, picture: Image.Image) -> "Photo":
        """A photo of an upright RGB picture that is there already."""
        return cls(picture.size, lambda _: picture)

    def at(self, factor: int) -> Image.Image:
        """The picture at 1/factor of its size, each side rounded up; `factor` is one of FACTORS.

        Raises ImageUnreadable.
        """
        if all(known > factor for known in self._at):
            self._take(factor)
        if factor not in self._at:
            nearest = max(known for known in self._at if known < factor)
            self._at[factor] = self._at[nearest].reduce(factor // nearest)
        return self._at[factor]

    def _take(self, factor: int) -> None:
        picture = self._decode(factor)
        self._at[1 if picture.size == self.size else factor] = picture


def _is_left_large(size: tuple[int, int], factor: int) -> bool:
    return max(size) >= factor * FIRST_SIDE_PX and min(size) >= factor


def factor_for(shrinking: float) -> int:
    """The largest factor by which a picture may be reduced that is going to be shrunk by so much."""
    return next((factor for factor in FACTORS if factor <= shrinking), 1)
