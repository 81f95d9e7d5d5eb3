"""Layers in the notation of maps and kernels: 3@512x512 -> 10 kernels 3@7x7, stride 1, padding 3 -> 10@512x512."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layers import Layer, MapShape, Pair

ARROW = " -> "


def notation(layer: "Layer") -> str:
    """What goes in, what looks at it, what comes out, and what is added to that."""
    return ARROW.join([maps_in_words(layer.given), _window_in_words(layer), maps_in_words(layer.shape)]) + _sum(layer)


def maps_in_words(shape: "MapShape") -> str:
    """So many maps of so many rows and columns: 32@72x72."""
    channels, height, width = shape
    return f"{channels}@{height}x{width}"


def _window_in_words(layer: "Layer") -> str:
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


def _kernels(layer: "Layer") -> str:
    return f"{layer.shape[0]} kernels {layer.window.depth}@{_by(layer.window.size)}"


def _sum(layer: "Layer") -> str:
    if layer.added is None:
        return ""
    result = "" if layer.hands_on == layer.shape else ARROW + maps_in_words(layer.hands_on)
    return f" + {maps_in_words(layer.added)} of {layer.adds}{result}"


def _by(size: "Pair") -> str:
    return f"{size[0]}x{size[1]}"


def _short(size: "Pair") -> str:
    return str(size[0]) if size[0] == size[1] else _by(size)
