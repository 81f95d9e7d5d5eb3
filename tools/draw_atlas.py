"""Draw docs/pictures/atlas.png from the default model's atlas, which shows no face.

Usage: python tools/draw_atlas.py [FILE]. For each trait it draws the channel with the strongest correlation.
"""

import io
import json
import sys
from base64 import b64decode
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from embedder import BUILT_IN
from embedder.explain.colors import painted
from embedder.explain.explanation import atlas_file

ROOT = Path(__file__).parent.parent
N_DRAWN, COLUMNS = 6, 2
SIDE_PX, GAP_PX, MARGIN_PX = 120, 12, 24
CELL_PX = (3 * SIDE_PX + 4 * GAP_PX + 160, SIDE_PX + 64)
INK, PALE, PAPER, BAR = (30, 30, 30), (110, 110, 110), (255, 255, 255), (20, 92, 190)


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures" / "atlas.png"
    channels = strongest(json.loads(atlas_file(BUILT_IN.name).read_text("utf-8"))["channels"])
    rows = -(-len(channels) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL_PX[0] + MARGIN_PX, rows * CELL_PX[1] + MARGIN_PX), PAPER)
    for place, channel in enumerate(channels):
        row, column = divmod(place, COLUMNS)
        draw(sheet, MARGIN_PX + column * CELL_PX[0], MARGIN_PX + row * CELL_PX[1], channel)
    sheet.save(file, "PNG")


def strongest(channels: list[dict]) -> list[dict]:
    """Return one channel for each trait, the strongest traits first."""
    found: dict[str, tuple[float, dict]] = {}
    for channel in channels:
        sure = [each for each in channel["correlations"] if each["low"] > 0 or each["high"] < 0]
        if sure:
            most = max(sure, key=lambda each: abs(each["r"]))
            known = found.get(most["trait"], (0.0, {}))
            found[most["trait"]] = max(known, (abs(most["r"]), channel), key=lambda each: each[0])
    return [channel for _, channel in sorted(found.values(), key=lambda each: -each[0])[:N_DRAWN]]


def draw(sheet: Image.Image, left: int, top: int, channel: dict) -> None:
    pen = ImageDraw.Draw(sheet)
    pen.text((left, top), f"channel {channel['channel']}", INK, ImageFont.load_default(15))
    pen.text((left, top + 18), channel["sentence"]["en"], PALE, ImageFont.load_default(13))
    pictures = (maximising(channel), looks_at(channel), histogram(channel))
    for number, (picture, words) in enumerate(zip(pictures, ("maximised", "looks at", "its values"), strict=True)):
        x = left + number * (SIDE_PX + GAP_PX)
        sheet.paste(picture, (x, top + 38))
        pen.text((x, top + 40 + SIDE_PX), words, PALE, ImageFont.load_default(11))


def maximising(channel: dict) -> Image.Image:
    image = b64decode(channel["maximising"].partition(",")[2])
    return Image.open(io.BytesIO(image)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def looks_at(channel: dict) -> Image.Image:
    changes = np.array(channel["looks_at"], np.float32)
    pixels = painted(changes, (0.0, float(changes.max())))
    return Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def histogram(channel: dict) -> Image.Image:
    counts = channel["histogram"]["counts"]
    picture = Image.new("RGB", (SIDE_PX + 60, SIDE_PX), PAPER)
    pen, step = ImageDraw.Draw(picture), picture.width / len(counts)
    for place, count in enumerate(counts):
        height = (SIDE_PX - 4) * count / max(counts)
        pen.rectangle((place * step, SIDE_PX - height, (place + 1) * step - 1, SIDE_PX), BAR)
    return picture


if __name__ == "__main__":
    main()
