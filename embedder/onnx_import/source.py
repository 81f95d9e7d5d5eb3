"""Read an ONNX file of others: one picture in, one vector out, by operations that visavis runs.

The file is untrusted: its size is bounded, `GraphCheck` walks its bytes first, and no runtime reads it here. Every
problem raises BundleError; a fault in an operation names it.
"""

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from ..errors import BundleError, printable
from ..files import read_regular_file
from ..types import LARGEST_EMBEDDING, SMALLEST_EMBEDDING
from ..weights.graph_check import MAX_NAME, OWN_DOMAINS, GraphCheck, node_in_words, not_runnable
from ..weights.onnx_graph import parse_model
from .facts import Layout

MAX_FILE_BYTES = 2**29
MAX_PATH = 4096  # bytes on Linux; a message that cuts the path off does not help
OPSETS = range(9, 24)
SIDES_PX = range(32, 513)
COLORS, PICTURES_RANK, MAX_RANK = 3, 4, 16
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
BYTES_OF: Mapping[int, int] = {  # of one number, by onnx's data type
    TensorProto.FLOAT: 4,
    TensorProto.UINT8: 1,
    TensorProto.INT8: 1,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.BOOL: 1,
    TensorProto.FLOAT16: 2,
    TensorProto.DOUBLE: 8,
}
LISTS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
LIST_OF: Mapping[int, str] = {  # where values are that are not stored as bytes; of other data types in int32_data
    TensorProto.FLOAT: "float_data",
    TensorProto.INT64: "int64_data",
    TensorProto.DOUBLE: "double_data",
}


@dataclass(frozen=True, slots=True, eq=False)
class SourceNetwork:
    """A checked file, with what its graph says about input and output."""

    name: str  # of the file
    data: bytes
    model: ModelProto
    input: str
    output: str
    layout: Layout
    side_px: int
    takes_one: bool  # whether a pass takes one picture, instead of any number

    @property
    def sha256(self) -> str:
        """The digest of the file's bytes, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    def refused(self, reason: str) -> BundleError:
        """Return the error that refuses the file."""
        return not_runnable(self.name, reason)


def read_source(path: Path) -> SourceNetwork:
    """Read and check a file. Raises BundleError, or RuntimeUnavailable without onnx."""
    try:
        data = read_regular_file(path, MAX_FILE_BYTES, follow_links=False)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():  # as all files in Hugging Face's cache
            raise BundleError(
                "the ONNX file is a symbolic link, and links are not followed; give the file that it leads to: "
                f"{printable(os.path.realpath(path), MAX_PATH)}"
            ) from error
        raise BundleError(f"the ONNX file cannot be read: {error.strerror}") from error
    name = printable(path.name, MAX_NAME)
    GraphCheck(name, None)(data)
    check = _SourceCheck(name)
    model = parse_model(data, check.fault)
    check.opset(model)
    check.definitions(model)
    for node, tensor in tensors_of_graph(model):
        check.tensor(tensor, node, len(data))
    given, made = check.sole_input(model), check.sole_output(model)
    layout, side_px, takes_one = check.shape(given)
    return SourceNetwork(name, data, model, given.name, made.name, layout, side_px, takes_one)


def tensors_of_graph(model: ModelProto) -> Iterator[tuple[NodeProto | None, TensorProto]]:
    """Yield all constants: those of the graph, and those inside operations with their operation."""
    yield from ((None, tensor) for tensor in model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from ((node, tensor) for tensor in (*attribute.tensors, attribute.t) if tensor.ByteSize())


def node_text(node: NodeProto) -> str:
    """Return the start of a reason that is about one operation, named by its first output if it has no name."""
    return node_in_words(node.name or next(iter(node.output), ""), node.op_type)


@dataclass(frozen=True, slots=True)
class _SourceCheck:
    """The checks of a file of that name."""

    name: str

    def fault(self, reason: str) -> BundleError:
        return not_runnable(self.name, reason)

    def opset(self, model: ModelProto) -> None:
        versions = [each.version for each in model.opset_import if each.domain in OWN_DOMAINS]
        if len(versions) != 1 or versions[0] not in OPSETS:
            raise self.fault(
                f"its opset is {', '.join(map(str, versions[:4])) or 'not stated'}; export it with one of "
                f"{OPSETS.start} to {OPSETS.stop - 1}, or convert it with onnx.version_converter"
            )

    def definitions(self, model: ModelProto) -> None:
        """Check that each value is made once, before it is used: then there is no circle."""
        constants = [tensor.name for tensor in model.graph.initializer]
        known = set(constants)
        if len(known) < len(constants):
            name, _ = Counter(constants).most_common(1)[0]
            raise self.fault(f"constant {_shown(name)} is there twice; export the network again")
        known |= {each.name for each in model.graph.input} | {""}
        for node in model.graph.node:
            self._definition(node, known)
        missing = [each.name for each in model.graph.output if each.name not in known]
        if missing:
            raise self.fault(f"its output {_shown(missing[0])} is made by no operation; export the network again")

    def _definition(self, node: NodeProto, known: set[str]) -> None:
        missing = [name for name in node.input if name not in known]
        if missing:
            raise self.fault(
                f"{node_text(node)}its input {_shown(missing[0])} is made by no operation before it: a circle, or "
                "operations in disorder; export the network again"
            )
        made = [name for name in node.output if name]
        if len(set(made)) < len(made) or not known.isdisjoint(made):
            raise self.fault(f"{node_text(node)}another one has an output of the same name; export the network again")
        if node.op_type in RANDOM:
            raise self.fault(f"{node_text(node)}its values are random; export the network for inference")
        known.update(made)

    def tensor(self, tensor: TensorProto, node: NodeProto | None, n_bytes: int) -> None:
        """Check that a constant has as many numbers as its shape says."""
        place = f"constant {_shown(tensor.name)}: " if node is None else node_text(node)
        if tensor.data_type not in BYTES_OF:
            kind = TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in _KINDS else tensor.data_type
            raise self.fault(f"{place}its data type is {kind}; export the network with float32 weights")
        is_sane = len(tensor.dims) <= MAX_RANK and all(each >= 0 for each in tensor.dims)
        n_numbers = prod(tensor.dims) if is_sane else -1
        if n_numbers != _n_stored(tensor) or n_numbers > n_bytes:
            shape = printable(str(list(tensor.dims[: MAX_RANK + 1])), MAX_NAME)
            raise self.fault(f"{place}its shape is {shape}, but it has {_n_stored(tensor):,} numbers")

    def sole_input(self, model: ModelProto) -> ValueInfoProto:
        """Return the one input that is used and no constant."""
        constants = {tensor.name for tensor in model.graph.initializer}
        used = {name for node in model.graph.node for name in node.input}
        given = [each for each in model.graph.input if each.name in used - constants]
        if len(given) != 1:
            names = ", ".join(_shown(each.name) for each in given[:4])
            raise self.fault(
                f"it has {len(given)} inputs ({names}) instead of one, a picture; cut the network out with "
                "onnx.utils.extract_model"
            )
        sole: ValueInfoProto = given[0]
        return sole

    def sole_output(self, model: ModelProto) -> ValueInfoProto:
        """Return the one output, a vector of 32-bit numbers."""
        if len(model.graph.output) != 1:
            names = ", ".join(_shown(each.name) for each in model.graph.output[:4])
            raise self.fault(
                f"it has {len(model.graph.output)} outputs ({names}) instead of one, a vector; cut the network out "
                "with onnx.utils.extract_model"
            )
        output: ValueInfoProto = model.graph.output[0]
        self._require_float(output, "output")
        if output.type.tensor_type.HasField("shape"):
            sizes = [each.dim_value for each in output.type.tensor_type.shape.dim][1:]  # 0: any
            if len([each for each in sizes if each != 1]) > 1:
                raise not_a_vector(self.name, output.name, sizes)
        return output

    def shape(self, given: ValueInfoProto) -> tuple[Layout, int, bool]:
        """Return layout and side of the pictures, and whether a pass takes only one."""
        self._require_float(given, "input")
        dims = [each.dim_value for each in given.type.tensor_type.shape.dim]  # 0: any
        advice = "; export it for pictures of 3 colours with equal sides of 32 to 512 px and any number at a time"
        sizes = printable(str(["any" if each == 0 else each for each in dims]), MAX_NAME)
        shown = f"its input {_shown(given.name)} is {sizes}{advice}"
        if len(dims) != PICTURES_RANK or dims[0] not in (0, 1) or COLORS not in (dims[1], dims[3]):
            raise self.fault(shown)
        layout: Layout = "nchw" if dims[1] == COLORS else "nhwc"
        height, width = dims[2:] if layout == "nchw" else dims[1:3]
        if height != width or height not in SIDES_PX:
            raise self.fault(shown)
        return layout, height, dims[0] == 1

    def _require_float(self, value: ValueInfoProto, kind: str) -> None:
        found = value.type.tensor_type.elem_type
        if value.type.WhichOneof("value") != "tensor_type" or found != TensorProto.FLOAT:
            shown = TensorProto.DataType.Name(found) if found in _KINDS else found
            raise self.fault(f"its {kind} {_shown(value.name)} is {shown}; export it with FLOAT (float32)")


def not_a_vector(file: str, output: str, sizes: Sequence[int]) -> BundleError:
    """Return the error that refuses an output with these dimensions after the first."""
    return not_runnable(
        file,
        f"its output {_shown(output)} has the dimensions {printable(str(list(sizes)), MAX_NAME)} for a picture; it "
        f"must be one vector of {SMALLEST_EMBEDDING} to {LARGEST_EMBEDDING:,} channels",
    )


_KINDS = set(TensorProto.DataType.values())


def _n_stored(tensor: TensorProto) -> int:
    """The number of values that a constant contains, as bytes or in its list; -1 if both, or in another list."""
    own = LIST_OF.get(tensor.data_type, "int32_data")
    n_raw, rest = divmod(len(tensor.raw_data), BYTES_OF[tensor.data_type])
    n_listed = len(getattr(tensor, own))
    has_others = any(len(getattr(tensor, name)) for name in LISTS if name != own)
    if rest or has_others or (n_listed and n_raw):
        return -1
    return n_listed + n_raw


def _shown(name: str) -> str:
    return f"'{printable(name, MAX_NAME)}'"
