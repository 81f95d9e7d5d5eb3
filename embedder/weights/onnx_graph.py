"""Parse an ONNX file's bytes into nodes and tensors, for any network; let one refer to a file for its tensors' values.

The file is untrusted input; every problem raises SFaceFileError, or an error of the caller's.
"""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import RuntimeUnavailable, SFaceFileError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

OPSET = 21  # the first with a block_size in DequantizeLinear
FLOAT, INT8, INT64 = 1, 3, 7  # data types of tensors, as onnx numbers them
KINDS: Mapping[int, DTypeLike] = {FLOAT: "<f4", INT8: "i1", INT64: "<i8"}
EXTERNAL = 1

Array = NDArray[np.generic]
Value = int | float | tuple[int, ...] | tuple[float, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, with the names of its inputs and outputs."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class OnnxGraph:
    """A network with one input and one output."""

    input: str
    input_shape: tuple[int, ...]
    output: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Array]  # the constants, by name


def fault(reason: str) -> SFaceFileError:
    """Return an SFaceFileError with the reason."""
    return SFaceFileError(f"not the known SFace file: {reason}")


def parse_graph(data: bytes) -> OnnxGraph:
    """Parse the bytes of an ONNX file. Raises SFaceFileError with the reason, RuntimeUnavailable without onnx."""
    try:
        return _checked(parse_model(data, fault))
    except UnicodeDecodeError as error:
        raise fault(BROKEN) from error


BROKEN = "it is not an ONNX file, is truncated, or is nested too deeply"


def parse_model(data: bytes, refused: Callable[[str], Exception]) -> "ModelProto":
    """Parse the bytes of an ONNX file. Raises `refused` with the reason, RuntimeUnavailable without onnx."""
    try:
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - it comes with onnx
        from onnx import ModelProto  # noqa: PLC0415 - only this reader of the base package needs it
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{error.name} is not installed; reading this file needs it; run: pip install 'visavis[train]'"
        ) from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise refused(BROKEN) from error
    return model


Places = Mapping[str, tuple[int, int]]  # a tensor's name -> its offset in the file and its length, in bytes
_HEADER_LENGTH = struct.Struct("<Q")  # a safetensors file: the header's length, the header, the tensors


def places_in(weights: bytes, prefix: str = "") -> Places:
    """Return the place of each tensor in a safetensors file whose name starts with `prefix`, which is removed."""
    (length,) = _HEADER_LENGTH.unpack_from(weights)
    start = _HEADER_LENGTH.size + length
    header = json.loads(weights[_HEADER_LENGTH.size : start])
    return {
        name.removeprefix(prefix): (start + first, end - first)
        for name, facts in header.items()
        if name.startswith(prefix) and name != "__metadata__"
        for first, end in [facts["data_offsets"]]
    }


def refer(tensor: "TensorProto", file: str, first: int, length: int) -> None:
    """Make a tensor refer to a file beside the graph for its values."""
    tensor.ClearField("raw_data")
    tensor.data_location = EXTERNAL
    for key, value in (("location", file), ("offset", first), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _checked(model: "ModelProto") -> OnnxGraph:
    opsets = [(each.domain, each.version) for each in model.opset_import]
    if opsets != [("", OPSET)]:
        raise fault(f"its opsets are {opsets}, not opset {OPSET}")
    graph = model.graph
    if len(model.functions) or len(graph.sparse_initializer):
        raise fault("it has functions or sparse tensors")
    tensors = _once([(_text(each.name), _array(each)) for each in graph.initializer], "constant")
    name, shape = _input(graph, tensors)
    if len(graph.output) != 1:
        raise fault(f"it has {len(graph.output)} outputs instead of one")
    return OnnxGraph(name, shape, _text(graph.output[0].name), tuple(map(_node, graph.node)), tensors)


def _once(named: Iterable[tuple[str, T]], kind: str) -> dict[str, T]:
    values: dict[str, T] = {}
    for name, value in named:
        if name in values:
            raise fault(f"{kind} {_shown(name)} occurs twice")
        values[name] = value
    return values


def _input(graph: "GraphProto", tensors: Mapping[str, Array]) -> tuple[str, tuple[int, ...]]:
    """Return the one input that is used and not a constant: old files list used and unused constants as inputs too."""
    taken = {name for node in graph.node for name in node.input}
    given = [each for each in graph.input if each.name in taken and each.name not in tensors]
    if len(given) != 1:
        raise fault(f"it has {len(given)} inputs that are not constants, instead of one")
    return _text(given[0].name), tuple(dim.dim_value for dim in given[0].type.tensor_type.shape.dim)


def _node(node: "NodeProto") -> Node:
    if node.domain:
        raise fault(f"operation {_shown(node.op_type)} is of another domain")
    attributes = _once([(_text(each.name), _value(each)) for each in node.attribute], "attribute")
    inputs, outputs = (tuple(map(_text, names)) for names in (node.input, node.output))
    return Node(_text(node.op_type), inputs, outputs, attributes)


def _value(attribute: "AttributeProto") -> Value:
    if attribute.type not in READERS:
        raise fault(f"attribute {_shown(attribute.name)} is of type {attribute.type}")
    return READERS[attribute.type](attribute)


def _array(tensor: "TensorProto") -> Array:
    name = _shown(tensor.name)
    if tensor.data_location == EXTERNAL or len(tensor.external_data):
        raise fault(f"the values of {name} are stored in another file")
    if tensor.data_type not in KINDS:
        raise fault(f"{name} is of data type {tensor.data_type}")
    values = _numbers(tensor, np.dtype(KINDS[tensor.data_type]))
    shape = tuple(tensor.dims)
    if any(dim < 1 for dim in shape) or prod(shape) != values.size:
        raise fault(f"{name} of shape {shape} has {values.size:,} numbers")
    if tensor.data_type == FLOAT and not np.isfinite(values).all():
        raise fault(f"{name} contains values that are not finite")
    return values.reshape(shape)


def _numbers(tensor: "TensorProto", kind: np.dtype[np.generic]) -> Array:
    """The values as a flat array, stored as raw bytes or, for float32, as a list."""
    listed, raw = len(tensor.float_data), tensor.raw_data
    if listed and not raw and tensor.data_type == FLOAT:
        return np.array(tensor.float_data, kind)
    if listed or len(raw) % kind.itemsize:
        raise fault(f"the numbers of {_shown(tensor.name)} are incomplete, or stored twice")
    return np.frombuffer(raw, kind)


# Readers of attribute values by onnx's type number: a float, an integer, a tensor, integers.
READERS: Mapping[int, Callable[["AttributeProto"], Value]] = {
    1: lambda attribute: float(attribute.f),
    2: lambda attribute: int(attribute.i),
    4: lambda attribute: tuple(_array(attribute.t).ravel().tolist()),
    7: lambda attribute: tuple(attribute.ints),
}


def _text(name: str) -> str:
    """Check a name: protobuf returns bytes if it is not UTF-8."""
    if not isinstance(name, str):
        raise fault("a name in it is not text")
    return name


def _shown(name: str) -> str:
    """A name from the file, truncated and escaped."""
    return ascii(name[:64])
