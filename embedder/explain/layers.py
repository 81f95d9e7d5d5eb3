"""The properties of a network's layers, their notation, and their parameters and MACs."""

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
    """The window of a kernel or a pool that slides over the input maps."""

    size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)  # rows of zeros above, columns of zeros to the left
    depth: int = 1  # number of input maps that it covers


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, with the maps added to its output (residual) and the activation after that."""

    name: str  # conv1, conv2, ..., pool1, ..., head
    kind: Kind
    takes: str  # source of its input: "conv1"; "conv4 x conv2", "pool1 / pool3"; "conv3 & conv5" (concatenated)
    given: MapShape  # of its input
    window: Window
    shape: MapShape  # of the maps computed by its kernels or its window
    adds: str  # source of the maps added to them, "" = none
    added: MapShape | None  # shape of the added maps
    hands_on: MapShape  # of the output; larger than `shape` if the smaller maps were padded with zeros
    activation: str  # after the sum, "" = none
    receptive_field_px: int  # side of the input region that one value depends on, over the longest path
    parameters: int  # weights and biases, trainable or fixed, with the normalisations after them folded in

    @property
    def notation(self) -> str:
        """The layer in words, as in 3@512x512 -> 10 kernels 3@7x7, stride 1, padding 3 -> 10@512x512."""
        return _notation(self)

    @property
    def mixes(self) -> Mixes:
        """Whether a value combines several channels of one place, several places of one channel, both or neither."""
        channels, space = self.window.depth > 1, prod(self.window.size) > 1
        if channels and space:
            return "both"
        return "channels" if channels else "space" if space else "neither"

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one chip; pools have none."""
        return 0 if self.kind in POOLS else prod(self.shape) * prod(self.window.size) * self.window.depth


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """A whole network, in execution order."""

    layers: tuple[Layer, ...]
    stored_parameters: int  # in its file, before normalisations are folded in

    @property
    def total_macs(self) -> int:
        """MACs of convolutions and dense layers, for one chip."""
        return sum(layer.macs for layer in self.layers)

    @property
    def total_parameters(self) -> int:
        """Parameters of all layers, after folding."""
        return sum(layer.parameters for layer in self.layers)


def maps_in_words(shape: MapShape) -> str:
    """Format a shape as channels@height x width: 32@72x72."""
    channels, height, width = shape
    return f"{channels}@{height}x{width}"


def _window_in_words(layer: Layer) -> str:
    window = layer.window
    match layer.kind:
        case "max pool" | "mean pool" if window.size == layer.given[1:]:
            return f"{layer.kind.removesuffix(' pool')} of all {_by(window.size)}"
        case "max pool" | "mean pool":
            text = f"{layer.kind.removesuffix(' pool')} {_by(window.size)}"
        case "depthwise convolution":
            text = f"{_kernels(layer)}, each on its own channel"
        case _:
            text = _kernels(layer)
    padding = f", padding {_short(window.padding)}" if any(window.padding) else ""
    return f"{text}, stride {_short(window.stride)}{padding}"


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
    """Format a layer's input, window, output and added maps."""
    return ARROW.join([maps_in_words(layer.given), _window_in_words(layer), maps_in_words(layer.shape)]) + _sum(layer)
