"""face_recognition_sface_2021dec_int8bq.onnx of the OpenCV Zoo -> named tensors -> a bundle. Needs no torch.

Its weights are int8 in blocks, each with a scale. Only this file is accepted: its graph is checked node by node, so
that errors state a specific reason, then its sha256.
"""

import hashlib
from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..backbones.plans import (
    SFACE_EPS,
    SFACE_INPUT_SIZE_PX,
    SFACE_KERNEL,
    SFACE_LAST_EPS,
    SFACE_OUT_CHANNELS,
    SFACE_OUT_SIDE_PX,
    SFACE_STAGES,
    SFACE_STEM_CHANNELS,
    SFaceBlockPlan,
)
from ..errors import SFaceFileError
from ..files import read_regular_file
from .bundle import BUILT_IN_MODELS, graphs_of, read_bundle, serialize_tensors, write_bundle
from .card import ModelCard
from .onnx_graph import Node, OnnxGraph, Value, fault, parse_graph

SFACE_FILE_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
SFACE_FILE_BYTES = 10_667_852
N_CHANNELS = 128  # of an embedding
MEAN, SCALE = 127.5, 128.0  # x = (pixel - mean) / scale
BLOCK = 64  # weights that share a scale; fewer if a kernel has fewer
DROPPED = 0.4  # the dropout rate, which has no effect in inference
MOMENTUM = 0.9
MAX_REASON = 200  # characters
WEIGHT_KINDS = ("DequantizeLinear", "Reshape")
UNUSED = {"pre_fc1_weight_shape", "pre_fc1_bias_shape"}  # constants that no node in the file uses

NOTHING = Node("nothing", (), (), {})

Weights = NDArray[np.float32]
S = TypeVar("S", bound=np.generic)


def read_sface_file(path: Path) -> dict[str, Weights]:
    """Read the .onnx file as float32 tensors, named as in the network. Raises SFaceFileError with the reason."""
    try:
        data = read_regular_file(path, SFACE_FILE_BYTES)
    except OSError as error:
        raise SFaceFileError(f"the SFace file cannot be read: {error.strerror}") from error
    tensors = parse_sface(data)
    if hashlib.sha256(data).hexdigest() != SFACE_FILE_SHA256:
        raise SFaceFileError(
            "the file has the right structure but different values (sha256 differs): altered or damaged; "
            "download it again"
        )
    return tensors


def parse_sface(data: bytes) -> dict[str, Weights]:
    """Parse the file's bytes and check every attribute and dimension of the network."""
    return _GraphReader(parse_graph(data)).tensors()


class _GraphReader:
    """Reads the graph from input to embedding. Each node must be the network's next and use the previous output."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._at = graph.input  # name of the last node's output
        self._steps = iter([node for node in graph.nodes if node.kind not in WEIGHT_KINDS])
        makers = [node for node in graph.nodes if node.kind in WEIGHT_KINDS]
        self._makers = {node.outputs: node for node in makers}  # not used yet
        if len(self._makers) < len(makers):
            raise fault("two operations produce weights of the same name")
        self._constants = dict(graph.tensors)  # not used yet

    def tensors(self) -> dict[str, Weights]:
        """Return the tensors, named as in the torch network."""
        if self._graph.input_shape != (1, 3, SFACE_INPUT_SIZE_PX, SFACE_INPUT_SIZE_PX):
            raise fault(f"its input has shape {self._graph.input_shape}")
        self._scaling()
        tensors = self._unit("backbone.stem", (SFACE_STEM_CHANNELS, 3, SFACE_KERNEL, SFACE_KERNEL))
        below = SFACE_STEM_CHANNELS
        for number, blocks in enumerate(SFACE_STAGES, start=1):
            for index, block in enumerate(blocks):
                tensors |= self._separable(f"backbone.stage{number}.{index}", below, block)
                below = block.channels
        tensors |= self._norm("backbone.bn1", SFACE_OUT_CHANNELS, SFACE_LAST_EPS)
        tensors |= self._head()
        self._finish()
        return tensors

    def _scaling(self) -> None:
        for kind, number in (("Sub", MEAN), ("Mul", 1 / SCALE)):
            (constant,) = self._step(kind, 1).inputs[1:]
            if self._taken(constant, (1,), np.float32).tolist() != [number]:
                raise fault(f"the constant of the first {kind} is not {number}")

    def _separable(self, name: str, below: int, block: SFaceBlockPlan) -> dict[str, Weights]:
        """Read a block: a depthwise, then a 1x1 convolution."""
        stride = 2 if block.halves else 1
        space = self._unit(f"{name}.space", (below, 1, SFACE_KERNEL, SFACE_KERNEL), stride=stride, groups=below)
        return space | self._unit(f"{name}.channels", (block.channels, below, 1, 1))

    def _unit(
        self, name: str, shape: tuple[int, int, int, int], *, stride: int = 1, groups: int = 1
    ) -> dict[str, Weights]:
        """Read a convolution, its normalisation and its PReLU."""
        channels, _, kernel, _ = shape
        facts: dict[str, Value] = {"dilations": (1, 1), "group": groups, "kernel_shape": (kernel, kernel)}
        facts |= {"pads": (kernel // 2,) * 4, "strides": (stride, stride)}
        (weights,) = self._step("Conv", 1, facts).inputs[1:]
        tensors = {f"{name}.conv.weight": self._reshaped(weights, shape)}
        tensors |= self._norm(f"{name}.norm", channels, SFACE_EPS)
        (slopes,) = self._step("PRelu", 1).inputs[1:]
        return tensors | {f"{name}.activation.weight": self._taken(slopes, (channels, 1, 1), np.float32).ravel()}

    def _norm(self, name: str, channels: int, eps: float) -> dict[str, Weights]:
        step = self._step("BatchNormalization", 4, {"epsilon": eps, "momentum": MOMENTUM})
        roles = ("weight", "bias", "running_mean", "running_var")
        return {
            f"{name}.{role}": self._taken(constant, (channels,), np.float32)
            for role, constant in zip(roles, step.inputs[1:], strict=True)
        }

    def _head(self) -> dict[str, Weights]:
        """Read dropout, which is the identity, then the convolution over the whole map, stored as a matrix product."""
        share = next(self._steps, NOTHING)
        if (share.kind, share.inputs, len(share.outputs)) != ("Constant", (), 1):
            raise fault(f"{share.kind} found instead of the dropout rate")
        _expect(share, {"value": (DROPPED,)})
        if self._step("Dropout", 1).inputs[1:] != share.outputs:
            raise fault("the dropout uses another rate")
        self._step("Flatten", 0)
        facts: dict[str, Value] = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        weights, biases = self._step("Gemm", 2, facts).inputs[1:]
        n_below = SFACE_OUT_CHANNELS * SFACE_OUT_SIDE_PX * SFACE_OUT_SIDE_PX
        kernels = self._dequantised(weights, (N_CHANNELS, n_below))
        name = "head.projection"
        return {
            f"{name}.weight": kernels.reshape(N_CHANNELS, SFACE_OUT_CHANNELS, SFACE_OUT_SIDE_PX, SFACE_OUT_SIDE_PX),
            f"{name}.bias": self._dequantised(biases, (N_CHANNELS,)),
        } | self._norm("head.norm", N_CHANNELS, SFACE_LAST_EPS)

    def _finish(self) -> None:
        """Check that no nodes or constants are left."""
        rest = next(self._steps, None)
        if rest is not None or self._at != self._graph.output:
            raise fault("it does not end where the network does")
        if self._makers or self._constants.keys() != UNUSED:
            raise fault("it has weights or constants that no layer uses")

    def _step(self, kind: str, n_constants: int, facts: Mapping[str, Value] | None = None) -> Node:
        """Return the next node, which must have that kind and `n_constants` inputs besides the previous output."""
        node = next(self._steps, NOTHING)
        if node.kind != kind:
            raise fault(f"{node.kind[:64]!a} found instead of {kind}")
        if len(node.inputs) != 1 + n_constants or node.inputs[0] != self._at or len(node.outputs) != 1:
            raise fault(f"a {kind} does not use the previous node's output, or has more than one output")
        _expect(node, facts or {})
        (self._at,) = node.outputs
        return node

    def _reshaped(self, name: str, shape: tuple[int, ...]) -> Weights:
        """Read the weights of a convolution, stored with one row for each kernel."""
        node = self._maker(name, "Reshape", 2)
        _expect(node, {})
        if self._taken(node.inputs[1], (len(shape),), np.int64).tolist() != list(shape):
            raise fault(f"the weights of a convolution do not have shape {shape}")
        n_weights = shape[1] * shape[2] * shape[3]
        return self._dequantised(node.inputs[0], (shape[0], n_weights)).reshape(shape)

    def _dequantised(self, name: str, shape: tuple[int, ...]) -> Weights:
        """Dequantise weights: integers minus their block's zero point, times its scale."""
        node = self._maker(name, "DequantizeLinear", 3)
        axis, block = len(shape) - 1, min(BLOCK, shape[-1])
        _expect(node, {"axis": axis, "block_size": block})
        blocks = (*shape[:-1], -(-shape[-1] // block))
        whole, scales, zeros = node.inputs
        centred = self._taken(whole, shape, np.int8).astype(np.float32)
        centred -= _spread(self._taken(zeros, blocks, np.int8).astype(np.float32), block, shape[-1])
        with np.errstate(over="ignore"):
            weights = centred * _spread(self._taken(scales, blocks, np.float32), block, shape[-1])
        if not np.isfinite(weights).all():
            raise fault("weights are not finite")
        return weights

    def _maker(self, name: str, kind: str, n_inputs: int) -> Node:
        """Return the node that produces weights of that name; each can be used once."""
        node = self._makers.pop((name,), NOTHING)
        if node.kind != kind or len(node.inputs) != n_inputs:
            raise fault(f"weights come from {node.kind} instead of a {kind} with {n_inputs} inputs")
        return node

    def _taken(self, name: str, shape: tuple[int, ...], kind: type[S]) -> NDArray[S]:
        """Return a constant of that shape and data type; each can be used once."""
        tensor = self._constants.pop(name, None)
        if tensor is None:
            raise fault(f"constant {name[:64]!a} is missing, or two layers use it")
        if tensor.shape != shape or tensor.dtype != kind:
            raise fault(f"constant {name[:64]!a} is {tensor.dtype} {tensor.shape}, not {np.dtype(kind)} {shape}")
        return tensor.astype(kind, copy=False)


def _expect(node: Node, facts: Mapping[str, Value]) -> None:
    """Check the attributes of an operation."""
    if node.attributes.keys() != facts.keys():
        raise fault(f"a {node.kind} has attributes {sorted(node.attributes)}, not {sorted(facts)}"[:MAX_REASON])
    for name, wanted in facts.items():
        if not _is_same(node.attributes[name], wanted):
            raise fault(f"{name} of a {node.kind} is {node.attributes[name]}, not {wanted}"[:MAX_REASON])


def _is_same(found: Value, wanted: Value) -> bool:
    """Compare two values; floats within 1e-6, because the file stores them as float32."""
    numbers, others = (value if isinstance(value, tuple) else (value,) for value in (found, wanted))
    is_alike = type(found) is type(wanted) and len(numbers) == len(others)
    return is_alike and all(isclose(*pair, rel_tol=1e-6) for pair in zip(numbers, others, strict=True))


def _spread(blocks: NDArray[np.float32], block: int, n: int) -> NDArray[np.float32]:
    """Repeat the value of each block for each of its weights in a row."""
    return np.repeat(blocks, block, axis=-1)[..., :n]


SFACE = BUILT_IN_MODELS["sface-128"]
TERMS = ("SFACE-LICENSE.txt", "SFACE-NOTICE.txt")  # distributed with the weights


def import_sface(onnx_file: Path, folder: Path) -> ModelCard:
    """Convert SFace's .onnx file to a bundle in a new folder, with its license.

    Raises SFaceFileError, BundleError, or RuntimeUnavailable if onnx is not installed. Raises ValueError if the
    built-in card describes other weights than this file's.
    """
    weights = serialize_tensors(read_sface_file(onnx_file))
    bundle = read_bundle(SFACE)
    write_bundle(folder, bundle.card, weights, *graphs_of(bundle))
    for name in TERMS:
        with (folder / name).open("xb") as file:  # never through a link
            file.write((SFACE / name).read_bytes())
    return bundle.card
