"""A layer of a network as plain facts, and what follows: its notation, what it mixes, how much it computes."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from .notation import notation

Kind = Literal["convolution", "depthwise convolution", "dense", "max pool", "mean pool"]
Mixes = Literal["channels", "space", "both", "neither"]
MapShape = tuple[int, int, int]  # channels, height, width
Pair = tuple[int, int]  # down, across

POOLS = ("max pool", "mean pool")


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
        return notation(self)

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
class Description:
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
