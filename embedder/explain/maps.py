"""Feature maps of one layer for one face, the most responsive first, and sheets of maps and kernels drawn by Pillow."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..image_formats import png
from ..types import Chip, ModelIdentity, Pixels
from .colors import Color, Scale, bar, colors_of, painted, scale_of
from .layers import Layer

LABEL_PX = 13  # of the strip above each picture
GAP_PX = 4
NARROWEST_PX = 26  # wide enough for a number of four digits
WIDEST_PX, ENLARGED_AT_MOST_PX = 1100, 160
GREY = (128, 128, 128, 255)  # legible on white and on black


@dataclass(frozen=True, slots=True)
class GridLayout:
    """The layout of pictures in a grid, row by row from the upper left corner."""

    columns: int
    cell_px: int  # side of a cell: a label above a picture, and the gap to its right
    times: int  # side of a value in px of the drawing

    @classmethod
    def of(cls, n: int, size: tuple[int, int]) -> "GridLayout":
        """Lay out n pictures (height, width), as large as fits, with up to four times as many columns as rows."""
        columns = 1 << ceil(log2(n) / 2)
        room = min(WIDEST_PX // columns - LABEL_PX, ENLARGED_AT_MOST_PX)
        times = max(1, room // max(size))
        return cls(columns, max(max(size) * times + LABEL_PX, NARROWEST_PX), times)

    def corner(self, place: int) -> tuple[int, int]:
        """The left and top of the picture at a position, in px."""
        row, column = divmod(place, self.columns)
        return column * self.cell_px, row * self.cell_px + LABEL_PX


def grid(pictures: Sequence[Pixels], numbers: Sequence[int], plan: GridLayout) -> Image.Image:
    """Draw pictures (height, width, 3) with their numbers on a transparent background."""
    rows = -(-len(pictures) // plan.columns)
    drawing = Image.new("RGBA", (min(len(pictures), plan.columns) * plan.cell_px, rows * plan.cell_px))
    pen, font = ImageDraw.Draw(drawing), ImageFont.load_default(10)
    for place, (pixels, number) in enumerate(zip(pictures, numbers, strict=True)):
        left, top = plan.corner(place)
        drawing.paste(Image.fromarray(enlarged(pixels, plan.times)), (left, top))
        pen.text((left, top - 2), str(number), GREY, font, anchor="ls")
    return drawing


def enlarged(pixels: Pixels, times: int) -> Pixels:
    """Enlarge pixels by an integer factor."""
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


Maps = NDArray[np.float32]  # (channels, height, width)
Kernels = NDArray[np.float32]  # (kernels, depth, height, width)


@dataclass(frozen=True, slots=True)
class Response:
    """The response of one channel to the face."""

    channel: int  # from 0
    peak: float  # the value with the largest magnitude, in the layer's own unit
    mean: float  # over the map


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMaps:
    """The output of a layer for one face. A picture of the maps shows the face: protect it like the photo."""

    layer: Layer
    chip: Chip
    model: ModelIdentity
    maps: Maps  # (channels, height, width), by channel
    responses: tuple[Response, ...]  # the largest peak first

    @property
    def ordered(self) -> Maps:
        """The maps in the order of the responses."""
        return self.maps[[response.channel for response in self.responses]]

    @property
    def scale(self) -> Scale:
        """The values of the first and the last colour of the drawing."""
        return scale_of(self.maps)


def feature_maps(layer: Layer, chip: Chip, model: ModelIdentity, maps: Maps) -> FeatureMaps:
    """Sort a layer's maps by response, the strongest first."""
    flat = maps.reshape(len(maps), -1)
    peaks = flat[np.arange(len(flat)), np.abs(flat).argmax(axis=1)]
    means = flat.mean(axis=1)
    order = np.argsort(-np.abs(peaks), kind="stable")
    responses = tuple(Response(int(each), float(peaks[each]), float(means[each])) for each in order)
    return FeatureMaps(layer, chip, model, maps, responses)


MARGIN_PX, CHIP_PX = 24, 225
BAR_PX = (CHIP_PX, 14)  # wide, high
LARGE_PX, SMALL_PX = 18, 13  # font sizes
INK, PALE, PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)
RGB = 3
WIDEST_MATRIX_PX, LINE_PX, LINE = 1400, 1, 215


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A picture of feature maps, with its layout and colours."""

    columns: int
    cell_px: int
    colors: tuple[Color, ...]  # evenly spaced, from the scale's low end to its high end
    png: bytes


def draw_maps(maps: FeatureMaps) -> Drawing:
    """Draw the maps without the chip."""
    plan = maps_plan(maps)
    return Drawing(plan.columns, plan.cell_px, colors_of(maps.scale), png(maps_grid(maps)))


def maps_plan(maps: FeatureMaps) -> GridLayout:
    """The layout of the maps in `maps_grid`."""
    _, height, width = maps.maps.shape
    return GridLayout.of(len(maps.maps), (height, width))


def maps_grid(maps: FeatureMaps) -> Image.Image:
    """Draw the maps with their channel numbers, the most responsive first, all on one scale."""
    channels = [response.channel for response in maps.responses]
    return grid([painted(each, maps.scale) for each in maps.ordered], channels, maps_plan(maps))


def maps_sheet(maps: FeatureMaps) -> Image.Image:
    """Draw the maps beside the chip, with their scale."""
    chip = Image.fromarray(maps.chip.pixels).resize((CHIP_PX, CHIP_PX), Image.Resampling.LANCZOS)
    count, sign = len(maps.maps), f"after {maps.layer.activation}" if maps.layer.activation else "signed"
    text = f"{count} feature maps, most responsive channel first; {sign}"
    return _sheet(maps.layer, text, _beside(chip, maps.scale), maps_grid(maps))


def kernels_sheet(layer: Layer, kernels: Kernels) -> Image.Image:
    """Draw kernels (n, depth, height, width) on one scale: as RGB pictures if they have depth 3, else as slices."""
    n, depth, *size = kernels.shape
    if depth == RGB:
        farthest = float(np.abs(kernels).max()) or 1.0
        text = f"{n} kernels as RGB pictures: grey = 0, full intensity = {farthest:.3g}, black = -{farthest:.3g}"
        return _sheet(layer, text, None, _numbered([_as_rgb(each, farthest) for each in kernels]))
    _, high = scale_of(kernels)
    scale = -high, high
    if depth == 1:
        text = f"{n} kernels, each on its own channel"
        return _sheet(layer, text, _beside(None, scale), _numbered([painted(each[0], scale) for each in kernels]))
    text = f"{n} kernels, one per row, from 0; each column is a {size[0]}x{size[1]} slice for one of {depth} input maps"
    return _sheet(layer, text, _beside(None, scale), _matrix(kernels, scale))


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Stack sheets vertically."""
    whole = Image.new("RGB", (max(each.width for each in sheets), sum(each.height for each in sheets)), PAPER)
    top = 0
    for each in sheets:
        whole.paste(each, (0, top))
        top += each.height
    return whole


def _as_rgb(kernel: Kernels, farthest: float) -> Pixels:
    """Convert one kernel (3, height, width) to pixels (height, width, 3)."""
    return np.asarray(np.rint(127.5 + 127.5 * kernel.transpose(1, 2, 0) / farthest), np.uint8)


def _numbered(pictures: list[Pixels]) -> Image.Image:
    height, width, _ = pictures[0].shape
    return grid(pictures, range(len(pictures)), GridLayout.of(len(pictures), (height, width)))


def _matrix(kernels: Kernels, scale: Scale) -> Image.Image:
    """Draw kernel slices separated by thin lines: a row for each kernel, a column for each input map."""
    n, depth, height, width = kernels.shape
    times = max(2, (WIDEST_MATRIX_PX // max(n, depth) - LINE_PX) // max(height, width))
    gap = (0, LINE_PX) if height * width > 1 else (0, 0)
    slices = painted(kernels.transpose(0, 2, 1, 3).reshape(n * height, depth * width), scale)
    cells = slices.reshape(n, height, depth, width, RGB).repeat(times, axis=1).repeat(times, axis=3)
    cells = np.pad(cells, ((0, 0), gap, (0, 0), gap, (0, 0)), constant_values=LINE)
    return Image.fromarray(cells.reshape(n * cells.shape[1], depth * cells.shape[3], RGB)).convert("RGBA")


def _beside(chip: Image.Image | None, scale: Scale) -> Image.Image:
    """Draw the chip, if there is one, above the colour scale."""
    top = 0 if chip is None else CHIP_PX + MARGIN_PX
    side = Image.new("RGB", (CHIP_PX, top + BAR_PX[1] + 2 * SMALL_PX), PAPER)
    if chip is not None:
        side.paste(chip, (0, 0))
    side.paste(Image.fromarray(bar(scale, *BAR_PX)), (0, top))
    pen, font, below = ImageDraw.Draw(side), ImageFont.load_default(SMALL_PX), top + BAR_PX[1] + 4
    pen.text((0, below), f"{scale[0]:.3g}", INK, font)
    pen.text((CHIP_PX, below), f"{scale[1]:.3g}", INK, font, anchor="ra")
    return side


def _sheet(layer: Layer, text: str, side: Image.Image | None, drawing: Image.Image) -> Image.Image:
    """Draw a title above the side and the drawing."""
    top = 2 * MARGIN_PX + LARGE_PX + SMALL_PX
    left = MARGIN_PX if side is None else 2 * MARGIN_PX + side.width
    title, font = f"{layer.name}   {layer.notation}", ImageFont.load_default(LARGE_PX)
    width = max(left + drawing.width, MARGIN_PX + round(font.getlength(title)))
    height = top + max(drawing.height, 0 if side is None else side.height)
    sheet = Image.new("RGB", (width + MARGIN_PX, height + MARGIN_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, MARGIN_PX // 2), title, INK, font)
    pen.text((MARGIN_PX, MARGIN_PX // 2 + LARGE_PX + 8), text, PALE, ImageFont.load_default(SMALL_PX))
    if side is not None:
        sheet.paste(side, (MARGIN_PX, top))
    sheet.paste(drawing, (left, top), drawing)
    return sheet
