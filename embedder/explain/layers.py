"""A layer of a network as plain facts, and what follows: its notation, what it mixes, how much it computes."""

from dataclasses import dataclass
from math import prod
from typing import Literal

Kind = Literal["convolution", "depthwise convolution", "dense", "max pool", "mean pool"]
Mixes = Literal["channels", "space", "both", "neither"]
MapShape = tuple[int, int, int]  # channels, height, width
Pair = tuple[int, int]  # down, across

POOLS = ("max pool", "mean pool")
ARROW = " -> "


@dataclass(frozen=True, slots=True)
class Window:
    """What looks at the maps below, place by place: a kernel's height and width, or a pool's."""

    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # rows of zeros above, columns of zeros to the left
    depth: int = 1  # how many of the maps below it sees at a time


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, with the activation that follows and what is added before it."""

    name: str  # conv1, conv2, ..., pool1, ..., head
    kind: Kind
    takes: str  # whose maps it is given: "conv1"; "conv4 x conv2", "pool1 / pool3"; "conv3 & conv5" (side by side)
    given: MapShape
    window: Window
    shape: MapShape  # of the maps that its kernels or its window make
    adds: str  # whose maps are added to them, "" = nobody's
    added: MapShape | None  # their shape
    hands_on: MapShape  # after that; larger than `shape` where the smaller maps were padded with zeros
    activation: str  # of the sum, "" = none
    receptive_field_px: int  # side of the square of the network's input that one value depends on, by its longest way
    parameters: int  # weights and biases, learnt or set, with the normalisations after them folded in

    @property
    def notation(self) -> str:
        """As in 3@512x512 -> 10 kernels 3@7x7, stride 1, padding 3 -> 10@512x512."""
        return _notation(self)

    @property
    def mixes(self) -> Mixes:
        """What a value is made from: several channels of one place, several places of one channel, both or neither."""
        channels, space = self.window.depth > 1, prod(self.window.size) > 1
        if channels and space:
            return "both"
        return "channels" if channels else "space" if space else "neither"

    @property
    def macs(self) -> int:
        """Multiplications, each with an addition, for one chip; pools have none."""
        return 0 if self.kind in POOLS else prod(self.shape) * prod(self.window.size) * self.window.depth


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """A whole network, in running order."""

    layers: tuple[Layer, ...]
    stored_parameters: int  # as they lie in its file, before normalisations are folded in

    @property
    def total_macs(self) -> int:
        """Of convolutions and dense layers, for one chip."""
        return sum(layer.macs for layer in self.layers)

    @property
    def total_parameters(self) -> int:
        """Of all layers, folded."""
        return sum(layer.parameters for layer in self.layers)


def maps_in_words(shape: MapShape) -> str:
    """So many maps of so many rows and columns: 32@72x72."""
    channels, height, width = shape
    return f"{channels}@{height}x{width}"


def _window_in_words(layer: Layer) -> str:
    window = layer.window
    match layer.kind:
        case "max pool" | "mean pool" if window.size == layer.given[1:]:
            return f"{layer.kind.removesuffix(' pool')} of all {_by(window.size)}"
        case "max pool" | "mean pool":
            what = f"{layer.kind.removesuffix(' pool')} {_by(window.size)}"
        case "depthwise convolution":
            what = f"{_kernels(layer)}, each on its own channel"
        case _:
            what = _kernels(layer)
    padding = f", padding {_short(window.padding)}" if any(window.padding) else ""
    return f"{what}, stride {_short(window.stride)}{padding}"


def _kernels(layer: Layer) -> str:
    return f"{layer.shape[0]} kernels {layer.window.depth}@{_by(layer.window.size)}"


def _sum(layer: Layer) -> str:
    if layer.added is None:
        return ""
    result = "" if layer.hands_on == layer.shape else ARROW + maps_in_words(layer.hands_on)
    return f" + {maps_in_words(layer.added)} of {layer.adds}{result}"


def _by(size: Pair) -> str:
    return f"{size[0]}x{size[1]}"


def _short(size: Pair) -> str:
    return str(size[0]) if size[0] == size[1] else _by(size)


def _notation(layer: Layer) -> str:
    """What goes in, what looks at it, what comes out, and what is added to that."""
    return ARROW.join([maps_in_words(layer.given), _window_in_words(layer), maps_in_words(layer.shape)]) + _sum(layer)
