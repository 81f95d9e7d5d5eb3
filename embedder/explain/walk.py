"""A graph, walked from the input to the embedding: its layers as facts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .layers import Kind, Layer, MapShape, Pair, Window
from .sight import ReceptiveField, united
from .steps import INPUT, JOINING, POOLING, LayerNodes, inputs_of, kind_of, layers_among, shape_of

if TYPE_CHECKING:
    from ..runtime.openvino import Model, Node

HEAD = "head"


class LayerGraph:
    """The layers of a model and how they hang together."""

    def __init__(self, model: "Model") -> None:
        steps = model.get_ordered_ops()
        self.found = layers_among(steps)
        self.names = _names(self.found)
        self._maker = {
            step.get_friendly_name(): name
            for name, found in zip(self.names, self.found, strict=True)
            for step in found.steps
        }
        self._sights = self._looked_at(steps)

    def layers(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Layer, ...]:
        """Every layer; `shapes` are those of what they make, measured."""
        return tuple(map(self._layer, self.names, self.found, shapes))

    def _layer(self, name: str, found: LayerNodes, measured: tuple[int, ...]) -> Layer:
        below, added = inputs_of(found.itself)[0], found.added
        return Layer(
            name=name,
            kind=_kind(found),
            takes=self._made_from(below),
            given=_maps(shape_of(below)),
            window=_window(found),
            shape=_maps(measured),
            adds="" if added is None else self._made_from(added),
            added=None if added is None else _maps(shape_of(added)),
            hands_on=_maps(shape_of(found.last)),
            activation=found.activation,
            receptive_field_px=max(self._sights[found.last.get_friendly_name()].reach_px),
            parameters=found.n_parameters,
        )

    def _made_from(self, step: "Node") -> str:
        """Whose maps a step gives, in words."""
        if (name := self._maker.get(step.get_friendly_name())) is not None:
            return name
        parts = list(dict.fromkeys(self._made_from(node) for node in inputs_of(step)))
        return f" {JOINING.get(kind_of(step))} ".join(parts) or INPUT

    def _looked_at(self, steps: Sequence["Node"]) -> dict[str, ReceptiveField]:
        """How far each step's values see; up to the first layer, the input is what is looked at."""
        windows = {found.itself.get_friendly_name(): _window(found) for found in self.found}
        sights: dict[str, ReceptiveField] = {}
        for step in steps:
            name, below = step.get_friendly_name(), [each.get_friendly_name() for each in inputs_of(step)]
            sight = united([ReceptiveField(), *(sights[each] for each in below)])
            sights[name] = sight.through(windows[name]) if name in windows else sight
        return sights


def _names(layers: Sequence[LayerNodes]) -> list[str]:
    """conv1, conv2, pool1, ... in running order; the last one is the head where it makes one value a channel."""
    names, counted = [], dict.fromkeys(("conv", "pool", "dense"), 0)
    for found in layers:
        kind = kind_of(found.itself)
        word = "pool" if kind in POOLING else "dense" if kind == "MatMul" else "conv"
        counted[word] += 1
        names.append(f"{word}{counted[word]}")
    is_head = bool(layers) and layers[-1].weight is not None and _maps(shape_of(layers[-1].itself))[1:] == (1, 1)
    return [*names[:-1], HEAD] if is_head else names


def _kind(found: LayerNodes) -> Kind:
    match kind_of(found.itself):
        case "MaxPool":
            return "max pool"
        case "AvgPool" | "ReduceMean":
            return "mean pool"
        case "MatMul":
            return "dense"
        case "GroupConvolution" if _window(found).depth == 1:
            return "depthwise convolution"
        case _:
            return "convolution"


def _window(found: LayerNodes) -> Window:
    layer, kind = found.itself, kind_of(found.itself)
    if kind == "MatMul":
        return Window((1, 1), depth=shape_of(inputs_of(layer)[0])[1])
    if kind == "ReduceMean":
        return Window(_maps(shape_of(inputs_of(layer)[0]))[1:])
    facts = layer.get_attributes()
    stride, padding = _pair(facts["strides"]), _pair(facts["pads_begin"])
    if found.weight is None:
        return Window(_pair(facts["kernel"]), stride, padding)
    *_, depth, height, width = found.weight.shape
    return Window((height, width), stride, padding, depth)


def _pair(numbers: Sequence[int]) -> Pair:
    down, across = numbers
    return int(down), int(across)


def _maps(shape: Sequence[int]) -> MapShape:
    """(1, channels, height, width), or (1, channels) of a dense layer."""
    _, channels, height, width = (*shape, 1, 1)[:4]
    return int(channels), int(height), int(width)
