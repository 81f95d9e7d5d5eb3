"""Draw the pictures of the built-in network's layers and feature maps.

Usage: python tools/draw_seeing.py. Writes docs/pictures/describe.svg and maps.png from an example photo.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from embedder import FaceEmbedder, load
from embedder.explain import Explainer, FeatureMaps
from embedder.explain.blueprint import draw_blueprint
from embedder.explain.colors import painted
from embedder.explain.maps import LABEL_PX, GridLayout, grid

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples" / "faces" / "001-neutral.jpg"
PICTURES = ROOT / "docs" / "pictures"
LAYERS = ("conv1", "conv3", "conv9", "conv17")  # one of each size of maps
N_MAPS, SIDE_PX, TITLE_PX, MARGIN_PX = 6, 144, 26, 20
INK, PAPER = (30, 30, 30), (255, 255, 255)


def strip(maps: FeatureMaps) -> Image.Image:
    """Draw the most responsive maps of a layer, below the layer's name."""
    plan = GridLayout(N_MAPS, SIDE_PX + LABEL_PX, SIDE_PX // maps.layer.shape[1])
    channels = [response.channel for response in maps.responses[:N_MAPS]]
    drawn = grid([painted(maps.maps[channel], maps.scale) for channel in channels], channels, plan)
    whole = Image.new("RGB", (drawn.width, drawn.height + TITLE_PX), PAPER)
    whole.paste(drawn, (0, TITLE_PX), drawn)
    title = f"{maps.layer.name}   {maps.layer.notation}"
    ImageDraw.Draw(whole).text((0, 2), title, INK, ImageFont.load_default(14))
    return whole


def draw_maps(embedder: FaceEmbedder) -> None:
    photo = PHOTO.read_bytes()
    strips = [strip(Explainer(embedder).maps(photo, layer=layer)) for layer in LAYERS]
    chip = Image.fromarray(embedder.chip(photo).pixels)
    left, height = 2 * MARGIN_PX + chip.width, strips[0].height + MARGIN_PX
    whole = Image.new("RGB", (left + strips[0].width + MARGIN_PX, len(strips) * height + MARGIN_PX), PAPER)
    top = MARGIN_PX + TITLE_PX + LABEL_PX
    whole.paste(chip, (MARGIN_PX, top))
    told = "brighter: stronger\nnumber: channel\nstrongest first"
    ImageDraw.Draw(whole).text((MARGIN_PX, top + chip.height + 10), told, INK, ImageFont.load_default(12), spacing=6)
    for place, each in enumerate(strips):
        whole.paste(each, (left, MARGIN_PX + place * height))
    whole.save(PICTURES / "maps.png", optimize=True)


def main() -> None:
    embedder = load()
    (PICTURES / "describe.svg").write_text(
        draw_blueprint(embedder.card.name, Explainer(embedder).describe()), encoding="utf-8"
    )
    draw_maps(embedder)


if __name__ == "__main__":
    main()
