"""Inspect an exported graph: the properties of its layers, their kernels and feature maps. Needs OpenVINO."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownLayer
from ..runtime.openvino import folded, watched
from ..types import Pixels
from .layers import Kind, Layer, MapShape, NetworkDescription, Pair, Window
from .maps import Kernels, Maps

if TYPE_CHECKING:
    from ..runtime.openvino import Model, Node
    from ..types import Pass


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The receptive field of one value of some maps."""

    reach_px: Pair = (1, 1)  # rows and columns of the input that the value depends on
    step_px: Pair = (1, 1)  # offset of the neighbouring value's receptive field

    def through(self, window: Window) -> "ReceptiveField":
        """The receptive field of a value computed by a window over such maps."""
        reach = zip(self.reach_px, window.size, self.step_px, strict=True)
        steps = zip(self.step_px, window.stride, strict=True)
        rows, columns = (own + (size - 1) * step for own, size, step in reach)
        down, across = (step * stride for step, stride in steps)
        return ReceptiveField((rows, columns), (down, across))


def united(sights: Iterable[ReceptiveField]) -> ReceptiveField:
    """The receptive field of a value computed from several maps."""
    reaches, steps = zip(*((each.reach_px, each.step_px) for each in sights), strict=True)
    (rows, columns), (down, across) = (
        tuple(max(pair) for pair in zip(*each, strict=True)) for each in (reaches, steps)
    )
    return ReceptiveField((rows, columns), (down, across))


WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
POOLING = ("MaxPool", "AvgPool", "ReduceMean")
ACTIVATIONS = {
    "Relu": "ReLU",
    "PRelu": "PReLU",
    "Swish": "swish",
    "HSwish": "hard swish",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard sigmoid",
}
JOINING = {"Add": "+", "Multiply": "x", "Concat": "&", "Divide": "/"}
INPUT = "input"


@dataclass(frozen=True, slots=True, eq=False)
class LayerNodes:
    """The nodes of one layer: the operation itself, then its bias, scale, sum, padding and activation."""

    steps: tuple["Node", ...]

    @property
    def itself(self) -> "Node":
        """The convolution, matrix product or pool."""
        return self.steps[0]

    @property
    def last(self) -> "Node":
        """The node that computes the layer's output."""
        return self.steps[-1]

    @property
    def weight(self) -> NDArray[np.float32] | None:
        """The weights as stored in the graph; None for a pool."""
        return self.itself.input_value(1).get_node().data if kind_of(self.itself) in WEIGHTED else None

    @property
    def n_parameters(self) -> int:
        """The number of weights, and of the per-channel scales, biases and slopes that follow."""
        following = [int(node.data.size) for step in self.steps[1:] for node in constants_of(step)]
        return sum(size for size in following if size > 1) + (0 if self.weight is None else self.weight.size)

    @property
    def activation(self) -> str:
        """The name of the activation that follows, or ""."""
        return " ".join(ACTIVATIONS[kind_of(step)] for step in self.steps if kind_of(step) in ACTIVATIONS)

    @property
    def added(self) -> "Node | None":
        """The node whose output is added to the layer's maps, or None."""
        others = [step.input_value(1).get_node() for step in self.steps[1:] if kind_of(step) == "Add"]
        return next((unpadded(node) for node in others if kind_of(node) != "Constant"), None)


def layers_among(steps: Sequence["Node"]) -> list[LayerNodes]:
    """Return all layers, in execution order."""
    return [LayerNodes(tuple(_followed(step))) for step in steps if _is_layer(step)]


def kind_of(step: "Node") -> str:
    """The node's operation type in OpenVINO."""
    return str(step.get_type_name())


def shape_of(step: "Node") -> tuple[int, ...]:
    """The shape of the node's output."""
    return tuple(step.get_output_shape(0))


def inputs_of(step: "Node") -> list["Node"]:
    """The nodes that feed this node, without constants."""
    nodes = [value.get_node() for value in step.input_values()]
    return [node for node in nodes if kind_of(node) != "Constant"]


def constants_of(step: "Node") -> list["Node"]:
    """The constant operands of a sum or product, or the slopes of a PReLU."""
    takes_numbers = kind_of(step) in ("Add", "Multiply", "PRelu")
    nodes = [value.get_node() for value in step.input_values()] if takes_numbers else []
    return [node for node in nodes if kind_of(node) == "Constant"]


def unpadded(step: "Node") -> "Node":
    """The node before zero padding, or the node itself."""
    return unpadded(inputs_of(step)[0]) if kind_of(step) == "Pad" else step


def _is_layer(step: "Node") -> bool:
    if kind_of(step) == "MatMul":  # a dense layer; resizing uses matrix products too, but plane by plane
        return len(shape_of(step)) == 2 and len(inputs_of(step)) == 1  # noqa: PLR2004 - n, channels
    return kind_of(step) in (*WEIGHTED, *POOLING)


def _followed(layer: "Node") -> Iterator["Node"]:
    """Yield the layer and the nodes that only it feeds: padding before a sum, the sum, a bias, a scale, activations."""
    step, passed = layer, [layer]
    while (following := _sole_successor(step)) is not None and _only_passes_on(following, step):
        step = following
        passed.append(step)
    while kind_of(passed[-1]) == "Pad":  # it belongs to the sum of another layer
        passed.pop()
    yield from passed


def _sole_successor(step: "Node") -> "Node | None":
    successors = [target.get_node() for target in step.output(0).get_target_inputs()]
    successors = [node for node in successors if kind_of(node) != "Result"]
    return successors[0] if len(successors) == 1 else None


def _only_passes_on(step: "Node", maps: "Node") -> bool:
    """Whether it is an activation, padding, a bias, a scale, or a sum whose first operand is `maps`."""
    kind = kind_of(step)
    if kind == "Add":
        return bool(step.input_value(0).get_node() == maps or constants_of(step))
    return kind in ACTIVATIONS or kind == "Pad" or (kind == "Multiply" and bool(constants_of(step)))


HEAD = "head"


class LayerGraph:
    """The layers of a model and their connections."""

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
        """Return all layers; `shapes` are the measured shapes of their maps."""
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
        """The source of a node's maps: layer names joined by operators, or "input"."""
        if (name := self._maker.get(step.get_friendly_name())) is not None:
            return name
        parts = list(dict.fromkeys(self._made_from(node) for node in inputs_of(step)))
        return f" {JOINING.get(kind_of(step))} ".join(parts) or INPUT

    def _looked_at(self, steps: Sequence["Node"]) -> dict[str, ReceptiveField]:
        """Compute the receptive field of each node's values; before the first layer it is one pixel."""
        windows = {found.itself.get_friendly_name(): _window(found) for found in self.found}
        sights: dict[str, ReceptiveField] = {}
        for step in steps:
            name, below = step.get_friendly_name(), [each.get_friendly_name() for each in inputs_of(step)]
            sight = united([ReceptiveField(), *(sights[each] for each in below)])
            sights[name] = sight.through(windows[name]) if name in windows else sight
        return sights


def _names(layers: Sequence[LayerNodes]) -> list[str]:
    """Name layers conv1, conv2, pool1, ... in execution order; a last layer with 1x1 output is the head."""
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
    """Convert (1, channels, height, width), or (1, channels) of a dense layer, to a MapShape."""
    _, channels, height, width = (*shape, 1, 1)[:4]
    return int(channels), int(height), int(width)


class NetworkInspector:
    """Inspects an exported graph with OpenVINO. Thread-safe."""

    def __init__(self, graph: Path | bytes, stored_parameters: int) -> None:
        """Load the graph and run it once to measure the layers' shapes."""
        self._model = folded(graph)
        self._walk = LayerGraph(self._model)
        run = watched(self._model, [found.itself for found in self._walk.found])
        (given,) = self._model.get_parameters()
        measured = run(np.zeros(shape_of(given), given.get_element_type().to_dtype()))
        self.description = NetworkDescription(self._walk.layers([maps.shape for maps in measured]), stored_parameters)

    def layer(self, name: str) -> Layer:
        """Return the layer of that name. Raises UnknownLayer."""
        return self.description.layers[self._place(name)]

    def maps(self, name: str, chip: Pixels) -> Maps:
        """Return a layer's output, after sum and activation, for one chip (side, side, 3). Raises UnknownLayer."""
        (maps,) = self._run(chip[None])[self._place(name)]
        return np.atleast_3d(maps).reshape(self.layer(name).hands_on)

    def kernels(self, name: str) -> Kernels | None:
        """Return a layer's kernels, with normalisation folded in; None for a pool. Raises UnknownLayer."""
        weight, layer = self._walk.found[self._place(name)].weight, self.layer(name)
        return None if weight is None else weight.reshape(layer.shape[0], layer.window.depth, *layer.window.size)

    @cached_property
    def _run(self) -> "Pass":
        """A pass that returns the outputs of all layers, so that one compiled network suffices."""
        return watched(self._model, [found.last for found in self._walk.found])

    def _place(self, name: str) -> int:
        if name not in self._walk.names:
            raise UnknownLayer(name, self._walk.names)
        return self._walk.names.index(name)
