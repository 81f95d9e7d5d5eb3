"""The steps of a graph -> which of them are layers, where each layer ends, and whose maps each step is made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..runtime.openvino import Node

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
    """A layer among the steps: itself, then all that only passes on what it makes."""

    steps: tuple["Node", ...]

    @property
    def itself(self) -> "Node":
        """The convolution, product or pool."""
        return self.steps[0]

    @property
    def last(self) -> "Node":
        """What gives the maps that it hands on."""
        return self.steps[-1]

    @property
    def weight(self) -> NDArray[np.float32] | None:
        """The weights, as the graph holds them; None for a pool."""
        return self.itself.input_value(1).get_node().data if kind_of(self.itself) in WEIGHTED else None

    @property
    def n_parameters(self) -> int:
        """Weights, and scales, biases and slopes of a channel each that follow."""
        following = [int(node.data.size) for step in self.steps[1:] for node in constants_of(step)]
        return sum(size for size in following if size > 1) + (0 if self.weight is None else self.weight.size)

    @property
    def activation(self) -> str:
        """The activation that follows, in words, or ""."""
        return " ".join(ACTIVATIONS[kind_of(step)] for step in self.steps if kind_of(step) in ACTIVATIONS)

    @property
    def added(self) -> "Node | None":
        """What is added to its maps, if anything is."""
        others = [step.input_value(1).get_node() for step in self.steps[1:] if kind_of(step) == "Add"]
        return next((unpadded(node) for node in others if kind_of(node) != "Constant"), None)


def layers_among(steps: Sequence["Node"]) -> list[LayerNodes]:
    """Every layer, in running order."""
    return [LayerNodes(tuple(_followed(step))) for step in steps if _is_layer(step)]


def kind_of(step: "Node") -> str:
    """What openvino calls it."""
    return str(step.get_type_name())


def shape_of(step: "Node") -> tuple[int, ...]:
    """The shape of what it gives."""
    return tuple(step.get_output_shape(0))


def inputs_of(step: "Node") -> list["Node"]:
    """The steps that it is computed from, without constants."""
    nodes = [value.get_node() for value in step.input_values()]
    return [node for node in nodes if kind_of(node) != "Constant"]


def constants_of(step: "Node") -> list["Node"]:
    """The numbers that a sum or product is with, or the slopes of a PReLU."""
    takes_numbers = kind_of(step) in ("Add", "Multiply", "PRelu")
    nodes = [value.get_node() for value in step.input_values()] if takes_numbers else []
    return [node for node in nodes if kind_of(node) == "Constant"]


def unpadded(step: "Node") -> "Node":
    """The step whose maps were padded with zeros here, or itself."""
    return unpadded(inputs_of(step)[0]) if kind_of(step) == "Pad" else step


def _is_layer(step: "Node") -> bool:
    if kind_of(step) == "MatMul":  # a dense layer; pictures are resized by products of matrices too, plane by plane
        return len(shape_of(step)) == 2 and len(inputs_of(step)) == 1  # noqa: PLR2004 - n, channels
    return kind_of(step) in (*WEIGHTED, *POOLING)


def _followed(layer: "Node") -> Iterator["Node"]:
    """The layer, and what follows it alone, up to its activation: padding before a sum, the sum, a bias, a scale."""
    step, passed = layer, [layer]
    while (following := _sole_successor(step)) is not None and _only_passes_on(following, step):
        step = following
        passed.append(step)
    while kind_of(passed[-1]) == "Pad":  # for a sum that is another layer's
        passed.pop()
    yield from passed


def _sole_successor(step: "Node") -> "Node | None":
    successors = [target.get_node() for target in step.output(0).get_target_inputs()]
    successors = [node for node in successors if kind_of(node) != "Result"]
    return successors[0] if len(successors) == 1 else None


def _only_passes_on(step: "Node", maps: "Node") -> bool:
    """Is it an activation, a bias, a scale, or a sum with others' maps where these come first?"""
    kind = kind_of(step)
    if kind == "Add":
        return bool(step.input_value(0).get_node() == maps or constants_of(step))
    return kind in ACTIVATIONS or kind == "Pad" or (kind == "Multiply" and bool(constants_of(step)))
