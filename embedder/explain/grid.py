"""Small pictures side by side in cells of one size, each under its number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

from PIL import Image, ImageDraw, ImageFont

from ..types import Pixels

LABEL_PX = 13  # of the strip above each picture
GAP_PX = 4
NARROWEST_PX = 26  # wide enough for a number of four digits
WIDEST_PX, ENLARGED_AT_MOST_PX = 1100, 160
GREY = (128, 128, 128, 255)  # is read on white and on black


@dataclass(frozen=True, slots=True)
class GridLayout:
    """Cells from the upper left corner on, row by row."""

    columns: int
    cell_px: int  # side of a cell: a label above a picture, and the gap to its right
    times: int  # how many px of the drawing a value takes in each direction

    @classmethod
    def of(cls, n: int, size: tuple[int, int]) -> "GridLayout":
        """For n pictures of that height and width: up to four times as many columns as rows, as large as fits."""
        columns = 1 << ceil(log2(n) / 2)
        room = min(WIDEST_PX // columns - LABEL_PX, ENLARGED_AT_MOST_PX)
        times = max(1, room // max(size))
        return cls(columns, max(max(size) * times + LABEL_PX, NARROWEST_PX), times)

    def corner(self, place: int) -> tuple[int, int]:
        """The left and upper edge of the picture at a place, in px."""
        row, column = divmod(place, self.columns)
        return column * self.cell_px, row * self.cell_px + LABEL_PX


def grid(pictures: Sequence[Pixels], numbers: Sequence[int], plan: GridLayout) -> Image.Image:
    """Draw pictures (height, width, 3) with their numbers; what is between them is transparent."""
    rows = -(-len(pictures) // plan.columns)
    drawing = Image.new("RGBA", (min(len(pictures), plan.columns) * plan.cell_px, rows * plan.cell_px))
    pen, font = ImageDraw.Draw(drawing), ImageFont.load_default(10)
    for place, (pixels, number) in enumerate(zip(pictures, numbers, strict=True)):
        left, top = plan.corner(place)
        drawing.paste(Image.fromarray(enlarged(pixels, plan.times)), (left, top))
        pen.text((left, top - 2), str(number), GREY, font, anchor="ls")
    return drawing


def enlarged(pixels: Pixels, times: int) -> Pixels:
    """Every pixel as a square."""
    return pixels.repeat(times, axis=0).repeat(times, axis=1)
