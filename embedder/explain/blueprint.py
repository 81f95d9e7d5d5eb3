"""Draw a network as an SVG: a block for each layer; its height shows the size of the maps, its width their number.

The SVG loads no external font, script or picture, and follows the reader's dark mode.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from .inspector import INPUT, JOINING
from .layers import Layer, MapShape, NetworkDescription, maps_in_words

HIGHEST_PX, LOWEST_PX, GAP_PX = 96, 13, 5  # of blocks, and between them
WIDEST_PX, NARROWEST_PX = 170, 4
TOP_PX, MARGIN_PX, MIDDLE_PX, TEXT_PX, LETTER_PX = 74, 16, 175, 330, 7.3
LANE_PX = 3.2  # scales the horizontal offset of a curve with its length
LEGEND = {"both": "mixes channels and space", "channels": "channels only", "space": "space only", "neither": "neither"}
LEGEND_OF_FORMS = "height: size of the maps, width: their number; dashed: added maps"
STYLE = """
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #24292f }
.title { font-size: 15px; font-weight: 600 } .pale { fill: #636c76 }
.way { fill: none; stroke: #8c959f; stroke-width: 1.2 } .sum { stroke-dasharray: 3 2 }
.input { fill: #8c959f } .both { fill: #3b7dd8 } .channels { fill: #d98a1f } .space { fill: #3a9d6a }
.neither { fill: #a475c9 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .pale { fill: #9198a1 } .way { stroke: #656c76 }
  .both { fill: #5b9bf0 } .channels { fill: #e3a145 } .space { fill: #56b988 }
}"""


@dataclass(frozen=True, slots=True)
class DrawnBlock:
    """The position and size of the block of one layer's maps."""

    top: float
    height: float
    width: float

    @property
    def middle(self) -> float:
        """The vertical centre of the block."""
        return self.top + self.height / 2

    @property
    def left(self) -> float:
        """The left edge of the block, which is centred in its column."""
        return MIDDLE_PX - self.width / 2


def draw_blueprint(name: str, description: NetworkDescription) -> str:
    """Draw a network with its name as the title."""
    blocks = _placed(description.layers)
    bottom = max(block.top + block.height for block in blocks.values()) + 24
    width = TEXT_PX + LETTER_PX * max(len(layer.notation) for layer in description.layers) + MARGIN_PX
    first = description.layers[0]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom:.0f}" role="img">',
        f"<title>{escape(name)}, layer by layer</title><style>{STYLE}</style>",
        *_heading(name, description),
        *_ways(description.layers, blocks),
        _drawn(INPUT, maps_in_words(first.given), blocks[INPUT], "input"),
        *(_drawn(layer.name, layer.notation, blocks[layer.name], layer.mixes) for layer in description.layers),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _placed(layers: tuple[Layer, ...]) -> Mapping[str, DrawnBlock]:
    """Place the input's block, and below it one for each layer."""
    highest = max(layers[0].given[1:])
    widest = max(layer.shape[0] for layer in layers)
    blocks: dict[str, DrawnBlock] = {}
    top = float(TOP_PX)
    for name, shape in [(INPUT, layers[0].given), *((layer.name, layer.shape) for layer in layers)]:
        blocks[name] = _block(shape, top, highest, widest)
        top += blocks[name].height + GAP_PX
    return blocks


def _block(shape: MapShape, top: float, highest: int, widest: int) -> DrawnBlock:
    channels, height, _ = shape
    return DrawnBlock(
        top, max(LOWEST_PX, HIGHEST_PX * height / highest), max(NARROWEST_PX, WIDEST_PX * channels / widest)
    )


def _heading(name: str, description: NetworkDescription) -> Iterator[str]:
    totals = f"{description.total_parameters:,} parameters, {description.total_macs:,} MACs"
    yield f'<text class="title" x="{MARGIN_PX}" y="26">{escape(name)}</text>'
    yield f'<text class="pale" x="{MARGIN_PX}" y="46">{totals}</text>'
    yield f'<text class="pale" x="{TEXT_PX}" y="46">{LEGEND_OF_FORMS}</text>'
    left = float(TEXT_PX)
    mixes = {layer.mixes for layer in description.layers}
    for kind, words in LEGEND.items():
        if kind in mixes:
            yield f'<rect class="{kind}" x="{left}" y="16" width="12" height="12" rx="2"/>'
            yield f'<text class="pale" x="{left + 18}" y="26">{words}</text>'
            left += 40 + LETTER_PX * len(words)


def _drawn(name: str, words: str, block: DrawnBlock, kind: str) -> str:
    x, y = block.left, block.middle + 4
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{block.top:.1f}" width="{block.width:.1f}" height="{block.height:.1f}" '
        f'rx="2"/><text x="{MARGIN_PX}" y="{y:.1f}">{name}</text><text x="{TEXT_PX}" y="{y:.1f}">{escape(words)}</text>'
    )


def _ways(layers: tuple[Layer, ...], blocks: Mapping[str, DrawnBlock]) -> Iterator[str]:
    """Draw the connections that skip layers: inputs from earlier layers, and added maps."""
    above = INPUT
    for layer in layers:
        for source in _named(layer.takes):
            if source != above:
                yield _way((source, layer.name), blocks, "way")
        for source in _named(layer.adds):
            yield _way((source, layer.name), blocks, "way sum")
        above = layer.name


def _named(words: str) -> list[str]:
    """The layers in "conv4 x conv2", or in ""."""
    return [word for word in words.split() if word not in JOINING.values()]


def _way(ends: tuple[str, str], blocks: Mapping[str, DrawnBlock], kind: str) -> str:
    """Draw a curve from one layer to another, to the right of all blocks between them."""
    source, target = (blocks[name] for name in ends)
    top, bottom = sorted((source.top, target.top))
    passed = max(block.width for block in blocks.values() if top <= block.top <= bottom)
    right = MIDDLE_PX + min(passed / 2 + 8 + LANE_PX * (bottom - top) ** 0.5, TEXT_PX - MIDDLE_PX - 8)
    begin, end = MIDDLE_PX + source.width / 2, MIDDLE_PX + target.width / 2
    return (
        f'<path class="{kind}" d="M{begin:.1f} {source.middle:.1f} C{right:.1f} {source.middle:.1f} '
        f'{right:.1f} {target.middle:.1f} {end:.1f} {target.middle:.1f}"/>'
    )
