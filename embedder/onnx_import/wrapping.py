"""Give a foreign network the house's contract: uint8 chips RGB (n, side, side, 3) -> float32 (n, channels).

Its operations stay as they are, between a prologue (float, colour order, layout, normalisation) and an end (one vector,
of length 1). OpenVINO folds what can be folded when it compiles: normalisation and batch norm into convolutions. The
weights go to a safetensors file beside the graph, as in all bundles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, helper, numpy_helper

from ..errors import printable
from ..weights.bundle import MAX_GRAPH_BYTES, MAX_WEIGHTS_HEADER_BYTES, WEIGHTS_FILE, serialize_tensors
from ..weights.graph_check import MAX_NAME, OWN_DOMAINS, GraphCheck
from ..weights.onnx_graph import places_in, refer
from .facts import InputFormat, NetworkFacts
from .source import SourceNetwork, tensors_of_graph

IR_VERSION = 8
PIXELS, EMBEDDINGS = "pixels", "embeddings"
MAX_INLINE = 256  # numbers of a constant that stays in the graph
REDUCE_AXES_AS_INPUT = 18  # the first opset in which ReduceL2 has them so
LEAST_LENGTH = 1e-12  # of a vector that is scaled to length 1, as in torch
RESERVED = "__metadata__"  # no tensor's name in a safetensors file

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class WrappedNetwork:
    """A graph and the weights file that it refers to, as in a bundle."""

    graph: bytes
    weights: bytes
    n_parameters: int


def wrapped(source: SourceNetwork, facts: NetworkFacts) -> WrappedNetwork:
    """Wrap a network. Raises BundleError if it does not fit into a bundle."""
    made, weights = _Wrapping(source).model(facts)
    numbers = (each for _, each in tensors_of_graph(source.model) if each.data_type == TensorProto.FLOAT)
    n_parameters = sum(map(_n_numbers, numbers))
    if not n_parameters:
        raise source.refused("it has no float32 weights; export it with them inside")
    stored = serialize_tensors(weights)
    if int.from_bytes(stored[:8], "little") > MAX_WEIGHTS_HEADER_BYTES:
        raise source.refused(
            f"the names of its {len(weights):,} constants take more than {MAX_WEIGHTS_HEADER_BYTES:,} bytes; export it "
            "with shorter ones"
        )
    places = places_in(stored)
    for tensor in made.graph.initializer:
        if tensor.name in weights:
            refer(tensor, WEIGHTS_FILE, *places[tensor.name])
    graph: bytes = made.SerializeToString(deterministic=True)
    if len(graph) > MAX_GRAPH_BYTES:
        raise source.refused(
            f"without its float32 weights it has {len(graph):,} bytes, more than {MAX_GRAPH_BYTES:,}; convert its "
            "weights to float32"
        )
    GraphCheck(source.name, (WEIGHTS_FILE, len(stored)))(graph)  # as whoever loads the bundle does
    return WrappedNetwork(graph, stored, n_parameters)


class _Wrapping:
    """Builds the new graph of one network; new names are none of the old ones."""

    def __init__(self, source: SourceNetwork) -> None:
        self._source, self._graph = source, GraphProto(name="network")
        old = source.model.graph
        self._taken = {each.name for each in (*old.initializer, *old.input)}
        self._taken |= {name for node in old.node for name in node.output}

    def model(self, facts: NetworkFacts) -> tuple[ModelProto, Weights]:
        """Return the model, whose large constants have no values, and these."""
        side = self._source.side_px
        pixels, embeddings = self._free(PIXELS), self._free(EMBEDDINGS)
        self._begin(pixels, facts.input_format)
        weights = self._copied()
        self._end(embeddings, unit_length=facts.unit_length)
        self._graph.input.append(helper.make_tensor_value_info(pixels, TensorProto.UINT8, ["n", side, side, COLORS]))
        self._graph.output.append(helper.make_tensor_value_info(embeddings, TensorProto.FLOAT, None))
        return ModelProto(ir_version=IR_VERSION, opset_import=self._opset(), graph=self._graph), weights

    def _opset(self) -> list[OperatorSetIdProto]:
        return [each for each in self._source.model.opset_import if each.domain in OWN_DOMAINS]

    def _begin(self, pixels: str, stated: InputFormat) -> None:
        """Add the operations from chips to the network's input."""
        steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
        if stated.color_order == "bgr":
            steps.append(("Gather", [self._constant("swap", np.array([2, 1, 0]))], {"axis": 3}))
        mean = stated.mean[::-1] if stated.color_order == "bgr" else stated.mean
        if any(mean):
            steps.append(("Sub", [self._constant("mean", np.array(mean, np.float32))], {}))
        if stated.scale != 1:
            steps.append(("Div", [self._constant("scale", np.array(stated.scale, np.float32))], {}))
        order = [0, 3, 1, 2] if self._source.layout == "nchw" else [0, 1, 2, 3]
        steps.append(("Transpose", [], {"perm": order}))
        at = pixels
        for index, (kind, others, attributes) in enumerate(steps):
            made = self._source.input if index == len(steps) - 1 else self._free(f"input_{kind.lower()}")
            self._graph.node.append(helper.make_node(kind, [at, *others], [made], **attributes))
            at = made

    def _end(self, embeddings: str, *, unit_length: bool) -> None:
        """Add the operations from the network's output to embeddings."""
        flat = self._free("vector") if unit_length else embeddings
        self._graph.node.append(helper.make_node("Flatten", [self._source.output], [flat], axis=1))
        if not unit_length:
            return
        length, divisor = self._free("length"), self._free("divisor")
        least = self._constant("least_length", np.array(LEAST_LENGTH, np.float32))
        self._graph.node.append(self._length_of(flat, length))
        self._graph.node.append(helper.make_node("Max", [length, least], [divisor]))
        self._graph.node.append(helper.make_node("Div", [flat, divisor], [embeddings]))

    def _length_of(self, vector: str, length: str) -> NodeProto:
        (opset,) = (each.version for each in self._source.model.opset_import if each.domain in OWN_DOMAINS)
        if opset < REDUCE_AXES_AS_INPUT:
            return helper.make_node("ReduceL2", [vector], [length], axes=[1], keepdims=1)
        return helper.make_node("ReduceL2", [vector, self._constant("axes", np.array([1]))], [length], keepdims=1)

    def _copied(self) -> Weights:
        """Copy the operations and constants; return the values of large ones."""
        old, weights = self._source.model.graph, Weights()
        for tensor in old.initializer:
            self._keep(tensor, tensor.name, weights)
        for node in old.node:
            constant = _constant_of(node)
            if constant is None:
                self._graph.node.append(_without_notes(node))
            else:
                self._keep(constant, node.output[0], weights)
        return weights

    def _keep(self, tensor: TensorProto, name: str, weights: Weights) -> None:
        if tensor.data_type != TensorProto.FLOAT or _n_numbers(tensor) <= MAX_INLINE:
            self._graph.initializer.add().CopyFrom(tensor)
            self._graph.initializer[-1].name = name
            return
        values = numpy_helper.to_array(tensor)
        if name == RESERVED or not np.isfinite(values).all():
            raise self._source.refused(
                f"constant '{printable(name, MAX_NAME)}' contains values that are not finite, or has a reserved name"
            )
        weights[name] = values
        self._graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=tensor.dims)

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a constant; return its name."""
        free = self._free(name)
        self._graph.initializer.append(numpy_helper.from_array(values, free))
        return free

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


COLORS = 3


def _constant_of(node: NodeProto) -> TensorProto | None:
    """Return the tensor of a `Constant` that has one."""
    found: Iterator[TensorProto] = (each.t for each in node.attribute if each.name == "value")
    return next(found, None) if node.op_type == "Constant" else None


def _without_notes(node: NodeProto) -> NodeProto:
    """Return a copy without texts of the exporter, such as paths."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.ClearField("doc_string")
    copy.ClearField("metadata_props")
    return copy


def _n_numbers(tensor: TensorProto) -> int:
    return int(np.prod(tensor.dims, dtype=np.int64))
