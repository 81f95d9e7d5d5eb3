"""Draw an explanation as one picture: both faces, their saliency maps and the channels of both. Uses Pillow."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..types import Pixels, Point
from .colors import APART, TOGETHER, overlay_saliency, painted
from .explanation import ExplainedFace, Explanation, Saliency, region_name

MARGIN_PX, GAP_PX = 28, 14
FACE_PX = 240
BAR_PX = 44  # height of a barcode
LARGE_PX, SMALL_PX = 20, 13  # font sizes
INK, PALE, PAPER, POINT = (30, 30, 30), (110, 110, 110), (255, 255, 255), (90, 220, 120)
WIDTH_PX = 1024  # of a barcode; its stripes are equally wide if the number of channels divides it
N_REGIONS = 3  # listed below each face

_FACES_TOP = MARGIN_PX + LARGE_PX + 2 * SMALL_PX + 2 * GAP_PX
_BARS_TOP = _FACES_TOP + FACE_PX + (N_REGIONS + 2) * (SMALL_PX + 5) + GAP_PX
_BAR_STEP = BAR_PX + SMALL_PX + GAP_PX


def draw_pair_sheet(found: Explanation) -> Image.Image:
    """Draw an explanation, with both faces; without saliency, only the chips."""
    sheet = Image.new("RGB", (WIDTH_PX + 2 * MARGIN_PX, _BARS_TOP + 3 * _BAR_STEP + MARGIN_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, found)
    sides = (("probe", found.sides.probe), ("reference", found.sides.reference))
    saliencies = (None, None) if found.saliency is None else (found.saliency.probe, found.saliency.reference)
    for number, ((name, side), saliency) in enumerate(zip(sides, saliencies, strict=True)):
        _face(sheet, MARGIN_PX + number * (WIDTH_PX // 2), name, side, saliency)
    _barcodes(sheet, found)
    return sheet


def _head(pen: ImageDraw.ImageDraw, found: Explanation) -> None:
    comparison = found.comparison
    verdict = "The same person" if comparison.same else "Different persons"
    title = f"{verdict}: distance {comparison.distance:.3f}, threshold {comparison.threshold:.3f}"
    pen.text((MARGIN_PX, MARGIN_PX), title, INK, ImageFont.load_default(LARGE_PX))
    legend, top = MARGIN_PX, MARGIN_PX + LARGE_PX + GAP_PX
    for color, words in ((TOGETHER, "reduces the distance"), (APART, "increases the distance")):
        pen.rectangle((legend, top, legend + SMALL_PX, top + SMALL_PX), color)
        font = ImageFont.load_default(SMALL_PX)
        pen.text((legend + SMALL_PX + 6, top - 2), words, INK, font)
        legend += SMALL_PX + 6 + round(font.getlength(words)) + 2 * GAP_PX


def _face(sheet: Image.Image, left: int, name: str, side: ExplainedFace, saliency: Saliency | None) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(SMALL_PX)
    pen.text((left, _FACES_TOP - SMALL_PX - 6), name, PALE, font)
    sheet.paste(_with_points(side.chip, side.landmarks), (left, _FACES_TOP))
    if saliency is None:
        return
    sheet.paste(_enlarged(overlay_saliency(side.chip, saliency.map)), (left + FACE_PX + GAP_PX, _FACES_TOP))
    for line, region in enumerate(saliency.regions[:N_REGIONS]):
        top = _FACES_TOP + FACE_PX + GAP_PX + line * (SMALL_PX + 5)
        color = TOGETHER if region.toward > 0 else APART
        start = left + FACE_PX + GAP_PX
        pen.text((start - GAP_PX, top), f"{region_name(region.region)} {region.share:.0%}", INK, font, anchor="ra")
        pen.rectangle((start, top + 3, start + round(region.share * FACE_PX), top + SMALL_PX), color)


def _barcodes(sheet: Image.Image, found: Explanation) -> None:
    probe, reference = found.sides.probe.vector, found.sides.reference.vector
    most = float(np.abs([probe, reference]).max()) or 1.0
    rows = (
        (f"probe: its {len(probe)} channels", probe),
        ("reference", reference),
        ("probe less reference", probe - reference),
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(SMALL_PX)
    for number, (words, vector) in enumerate(rows):
        top = _BARS_TOP + number * _BAR_STEP
        pen.text((MARGIN_PX, top), words, PALE, font)
        sheet.paste(Image.fromarray(_barcode(vector, most)), (MARGIN_PX, top + SMALL_PX + 5))


def _barcode(vector: NDArray[np.float32], most: float) -> Pixels:
    """Draw a vector (channels,) as stripes (height, width, 3), on a scale from -most to most."""
    stripes = painted(vector[None], (-most, most))
    return stripes[:, np.arange(WIDTH_PX) * len(vector) // WIDTH_PX].repeat(BAR_PX, axis=0)


def _with_points(chip: Pixels, landmarks: tuple[Point, ...]) -> Image.Image:
    picture, times = _enlarged(chip), FACE_PX / len(chip)
    pen = ImageDraw.Draw(picture)
    for x, y in landmarks:
        pen.circle((x * times, y * times), 3, POINT, INK)
    return picture


def _enlarged(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels).resize((FACE_PX, FACE_PX), Image.Resampling.BICUBIC)
