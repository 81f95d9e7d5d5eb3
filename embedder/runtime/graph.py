"""A network -> its ONNX graph, whose weights stay where they are: in the safetensors file that lies beside it.

So a model needs no torch where it serves, and its weights are on the disk once. For other programs they go inside.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from onnx import ModelProto, TensorProto
from torch import Tensor, nn
from torch.export import Dim

from ..network import EmbeddingNet
from ..weights.bundle import WEIGHTS_FILE

OPSET = 18
INPUT, EMBEDDINGS = "pixels", "embeddings"
_HEADER_LENGTH = struct.Struct("<Q")  # how a safetensors file begins; then its header, then the tensors

Places = Mapping[str, tuple[int, int]]  # a tensor's name -> its first byte in the file, and how many it takes


def embedding_graph(network: EmbeddingNet, weights: bytes) -> bytes:
    """The graph of a network whose tensors are those of a weights file; it takes uint8 chips (n, side, side, 3)."""
    return _graph_of_chips(deepcopy(network).cpu().eval(), WEIGHTS_FILE, places_in(weights))


def self_standing_graph(network: EmbeddingNet) -> bytes:
    """The graph of a network in eval mode, with its weights inside; it takes uint8 chips (n, side, side, 3)."""
    return _graph_of_chips(network, "", {})


def _graph_of_chips(network: EmbeddingNet, file: str, places: Places) -> bytes:
    chips = torch.zeros(2, network.chip_size_px, network.chip_size_px, 3, dtype=torch.uint8)
    return graph(network, chips, {0: Dim("n", min=1)}, [EMBEDDINGS], file, places)


def graph(
    network: nn.Module, example: Tensor, free: Mapping[int, Dim], outputs: Sequence[str], file: str, places: Places
) -> bytes:
    """Export a network in eval mode; `free` are the input's dimensions of any size, `file` holds its tensors."""
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        optimize=False,  # weights must remain as they are stored
        input_names=[INPUT],
        output_names=outputs,
        dynamic_shapes=(dict(free),),
        opset_version=OPSET,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch exported nothing")
    model: ModelProto = program.model_proto
    _forget_where_it_came_from(model)
    for tensor in model.graph.initializer:
        if tensor.name in places:
            _refer(tensor, file, *places[tensor.name])
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return] # protobuf carries no types


def places_in(weights: bytes, prefix: str = "") -> Places:
    """Where each tensor lies in the bytes of a safetensors file; of those whose name begins so, without that."""
    (length,) = _HEADER_LENGTH.unpack_from(weights)
    start = _HEADER_LENGTH.size + length
    header = json.loads(weights[_HEADER_LENGTH.size : start])
    return {
        name.removeprefix(prefix): (start + first, end - first)
        for name, facts in header.items()
        if name.startswith(prefix) and name != "__metadata__"
        for first, end in [facts["data_offsets"]]
    }


def _refer(tensor: TensorProto, file: str, first: int, length: int) -> None:
    """Have a tensor's numbers read from a file beside the graph."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", first), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _forget_where_it_came_from(model: ModelProto) -> None:
    """Take out the exporter's notes: stack traces with paths of this machine, shapes that follow from the rest."""
    for noted in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    model.graph.ClearField("value_info")
    model.ClearField("functions")
