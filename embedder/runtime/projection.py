"""Add a learned projection to fewer channels as the last layer of a bundle's network: a 1x1 convolution.

Embeddings are centred, projected, and scaled to length 1 again if they were so before. It needs torch and onnx.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ..backbones.registry import IMPORTED
from ..errors import BundleError
from ..network import build_network
from ..types import Vectors
from ..weights.bundle import WEIGHTS_FILE, Bundle, Tensors, serialize_tensors
from ..weights.card import Architecture
from ..weights.onnx_graph import parse_model, places_in, refer
from .export import embedding_graph

LAST_LAYER = "head.reduction"
WEIGHT, BIAS = f"{LAST_LAYER}.weight", f"{LAST_LAYER}.bias"
LEAST_LENGTH = 1e-12  # of a vector that is scaled to length 1, as in torch
REDUCE_AXES_AS_INPUT = 18  # the first opset in which ReduceL2 has them so


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """An affine map of embeddings to fewer channels."""

    matrix: NDArray[np.float32]  # (channels, channels before)
    mean: NDArray[np.float32]  # (channels before,): subtracted first

    def __call__(self, vectors: Vectors, *, unit_length: bool) -> Vectors:
        """Project embeddings (n, channels before), as the network does: (n, channels)."""
        projected: Vectors = ((vectors - self.mean) @ self.matrix.T).astype(np.float32)
        if unit_length:
            projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), np.float32(LEAST_LENGTH))
        return projected

    @property
    def tensors(self) -> Tensors:
        """Weight and bias of the convolution."""
        return {WEIGHT: self.matrix[:, :, None, None], BIAS: -(self.matrix @ self.mean)}


@dataclass(frozen=True, slots=True)
class ProjectedNetwork:
    """A network that ends with a projection: what a new bundle needs."""

    architecture: Architecture
    weights: bytes
    graph: bytes
    n_parameters: int


def projected(bundle: Bundle, projection: Projection) -> ProjectedNetwork:
    """Add a projection to a bundle's network. Raises BundleError if it ends with one already, or has its names."""
    before = bundle.card.architecture
    if before.projected_from is not None:
        raise BundleError(
            f"{bundle.card.name} was projected to {before.embedding_size} channels already, from "
            f"{before.projected_from}: project the model that it was made from"
        )
    sizes = {"embedding_size": len(projection.matrix), "projected_from": before.embedding_size}
    architecture = before.model_copy(update=sizes)
    tensors = {**bundle.tensors, **projection.tensors}
    weights = serialize_tensors(tensors)
    card = bundle.card.model_copy(update={"architecture": architecture})
    if before.backbone == IMPORTED:
        graph = _longer_graph(bundle, projection, weights)
    else:
        graph = embedding_graph(build_network(replace(bundle, card=card, tensors=tensors)), weights)
    n_more = sum(each.size for each in projection.tensors.values())
    return ProjectedNetwork(architecture, weights, graph, bundle.card.provenance.stored_parameters + n_more)


def _longer_graph(bundle: Bundle, projection: Projection, weights: bytes) -> bytes:
    """Add the operations to the graph of an imported network, whose output is (n, channels before)."""
    if bundle.graph is None:
        raise BundleError(f"{bundle.card.name} has no exported network")
    model = parse_model(bundle.graph.read_bytes(), BundleError)
    _append(model, projection, unit_length=bundle.card.architecture.unit_length)
    places = places_in(weights)
    for tensor in model.graph.initializer:
        if tensor.name in places:
            tensor.ClearField("external_data")
            refer(tensor, WEIGHTS_FILE, *places[tensor.name])
    graph: bytes = model.SerializeToString(deterministic=True)
    return graph


def _append(model: ModelProto, projection: Projection, *, unit_length: bool) -> None:
    graph, (output,) = model.graph, model.graph.output
    taken = {each.name for each in graph.initializer} | {each for node in graph.node for each in node.output}
    if clashing := sorted(projection.tensors.keys() & taken):
        raise BundleError(f"the network has values called {clashing[0]} already; rename them where it came from")
    name = f"{output.name}_projected"
    while any(each.startswith(name) for each in taken):
        name += "_"
    maps, projected_maps, flat = (f"{name}_{step}" for step in ("maps", "conv", "flat"))
    for tensor, values in projection.tensors.items():
        graph.initializer.add(name=tensor, data_type=TensorProto.FLOAT, dims=values.shape)
    shape = np.array([-1, projection.matrix.shape[1], 1, 1])
    graph.initializer.append(numpy_helper.from_array(shape, f"{name}_shape"))
    graph.node.append(helper.make_node("Reshape", [output.name, f"{name}_shape"], [maps]))
    graph.node.append(helper.make_node("Conv", [maps, WEIGHT, BIAS], [projected_maps], kernel_shape=[1, 1]))
    graph.node.append(helper.make_node("Flatten", [projected_maps], [flat if unit_length else name], axis=1))
    if unit_length:
        _scale_to_length_1(model, flat, name)
    output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def _scale_to_length_1(model: ModelProto, flat: str, name: str) -> None:
    (opset,) = (each.version for each in model.opset_import)
    length, divisor, least, axes = (f"{name}_{step}" for step in ("length", "divisor", "least", "axes"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(LEAST_LENGTH, np.float32), least))
    if opset < REDUCE_AXES_AS_INPUT:
        reduced = helper.make_node("ReduceL2", [flat], [length], axes=[1], keepdims=1)
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.array([1]), axes))
        reduced = helper.make_node("ReduceL2", [flat, axes], [length], keepdims=1)
    model.graph.node.append(reduced)
    model.graph.node.append(helper.make_node("Max", [length, least], [divisor]))
    model.graph.node.append(helper.make_node("Div", [flat, divisor], [name]))
