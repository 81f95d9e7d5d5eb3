"""Run networks with OpenVINO on the CPU, from exported graphs and the weights beside them. Needs no torch.

OpenVINO and its converter send telemetry with openvino_telemetry, which is installed with it. This module blocks the
import of openvino_telemetry, so nothing is sent; the OpenVINO core alone reads graphs.
"""

import sys
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, RuntimeUnavailable
from ..types import Inputs, Pass, Precision
from ..weights.bundle import Bundle, int8_graph_of, is_built_in_graph
from .runtime import DynamicBatcher, EmbeddingSession
from .trial import require_runnable

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # its import then fails, which openvino tolerates
import openvino  # noqa: E402 - telemetry must be blocked first
from openvino._offline_transformations import apply_moc_transformations  # noqa: E402 - the same; openvino's own tools use it

# Two threads that access a tensor's data for the first time at once deadlock. This access prevents that.
_ = openvino.Tensor(np.zeros(1, np.uint8)).data

# One for the process, which never ends. The CPU plugin of a Core gives the thread that first uses it another stack for
# signals, and frees that stack at its own end. If another thread ends it, as after a reload, the next signal would find
# no stack, and the system would end the process with SIGSEGV.
_CORE = openvino.Core()

# OpenVINO caches the kernels compiled for each input size. By default it keeps 5,000 per network, and with many sizes
# memory then grows for thousands of photos.
KERNELS_KEPT = 256

Node: TypeAlias = openvino.Node
Model: TypeAlias = openvino.Model
Shape: TypeAlias = tuple[int, ...]


class OpenVinoRuntime:
    """Runs networks on all cores of the CPU, or with `threads` threads."""

    def __init__(self, precision: Precision = "f32", threads: int | None = None) -> None:
        """Compute embeddings in `precision`. Raises RuntimeUnavailable if this processor does not support it."""
        self._precision, self._threads = precision, threads
        if precision == "bf16" and "BF16" not in _CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeUnavailable("this processor does not support bf16; use f32")

    def embedding(self, bundle: Bundle) -> EmbeddingSession:
        """Load the network of a bundle; one of unknown origin is first tried in a process of its own.

        Raises BundleError if there is no graph or it cannot be run, RuntimeUnavailable if there is none in int8.
        """
        graph = int8_graph_of(bundle) if self._precision == "int8" else _graph_of(bundle)
        if not is_built_in_graph(graph, bundle.card):
            sizes = bundle.card.alignment.chip_size_px, bundle.card.architecture.embedding_size
            require_runnable(graph, bundle.card.digest_in(self._precision), *sizes)
        return self.embedding_of_file(graph)

    def embedding_of_file(self, network: Path) -> EmbeddingSession:
        """Load an embedding network from a file: .onnx, or .xml with its .bin."""
        return EmbeddingSession(
            DynamicBatcher(self._pass(network, self._precision, _threads_of_a_pass(self._threads))),
            self._precision,
            f"openvino {self._precision}",
        )

    def _pass(self, graph: Path, precision: Precision, threading: dict[str, int | bool]) -> "_Compiled":
        return _compiled(_CORE.read_model(graph), precision, threading)


def _graph_of(bundle: Bundle) -> Path:
    if bundle.graph is None:
        raise BundleError("the bundle has no exported network (network.onnx), which openvino needs; use torch")
    return bundle.graph


def compile_small_network(graph: Path, shapes: Collection[Shape] = ()) -> Pass:
    """Return a small network that runs in the calling thread, because its own threads would mostly wait for each other.

    It accepts pixels of any shape. It is faster on `shapes`, and is compiled for each of them on first use.
    """
    return _SmallNetwork(graph, frozenset(shapes))


def _compiled(model: Model, precision: Precision, threading: Mapping[str, int | bool]) -> "_Compiled":
    hint = "f32" if precision == "int8" else precision  # in an int8 graph it applies to the operations left in f32
    settings = {"INFERENCE_PRECISION_HINT": hint, "CPU_RUNTIME_CACHE_CAPACITY": KERNELS_KEPT, **threading}
    return _Compiled(_CORE.compile_model(model, "CPU", settings))


def _threads_of_a_pass(threads: int | None) -> dict[str, int | bool]:
    """Settings for all cores, or for `threads` unpinned threads: each process would pin them to the same cores."""
    return {} if threads is None else {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}


N_CHIPS = 2


def embed_grey_chips(graph: str, side_px: int, n_channels: int) -> None:
    """Load a network and embed grey chips, for trial.py. Raises ValueError, or whatever OpenVINO raises."""
    chips = np.full((N_CHIPS, side_px, side_px, 3), 128, np.uint8)
    vectors = OpenVinoRuntime(threads=1).embedding_of_file(Path(graph))(chips)
    if vectors.shape != (N_CHIPS, n_channels) or not np.isfinite(vectors).all():
        raise ValueError(f"its output for {N_CHIPS} chips is not {N_CHIPS} x {n_channels} finite numbers")


def convert(graph: bytes, file: Path) -> None:
    """Write an ONNX graph that contains its weights in OpenVINO's format: `file` is the .xml, with a .bin beside it."""
    openvino.save_model(_CORE.read_model(graph), file, compress_to_fp16=False)


def folded(graph: Path | bytes) -> Model:
    """Load a graph as it runs for one input: with static shapes, and normalisation folded into convolutions."""
    model = _CORE.read_model(graph)
    (dimensions,) = (parameter.get_partial_shape() for parameter in model.get_parameters())
    model.reshape([1, *(dimension.get_length() for dimension in list(dimensions)[1:])])
    apply_moc_transformations(model, cf=True)
    return model


def watched(model: Model, nodes: Sequence[Node]) -> Pass:
    """Return a pass that runs a model up to these nodes and returns the output of each."""
    part = openvino.Model([node.output(0) for node in nodes], model.get_parameters())
    return _Compiled(_CORE.compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))


class _SmallNetwork:
    """See small_network. Each concurrent thread runs its own copy, because a single copy would block the others."""

    THREADING: ClassVar[Mapping[str, int | bool]] = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1}

    def __init__(self, graph: Path, shapes: frozenset[Shape]) -> None:
        self._graph, self._shapes = graph, shapes
        self._idle: dict[Shape | None, deque[_Compiled]] = {shape: deque() for shape in (None, *shapes)}
        self._idle[None].append(self._compiled(None))

    def __call__(self, pixels: Inputs) -> tuple[NDArray[np.float32], ...]:
        shape = pixels.shape if pixels.shape in self._shapes else None
        try:
            network = self._idle[shape].pop()
        except IndexError:
            network = self._compiled(shape)
        try:
            return network(pixels)
        finally:
            self._idle[shape].append(network)

    def _compiled(self, shape: Shape | None) -> "_Compiled":
        """Compile a copy for inputs of one shape, or of any if None."""
        model = _CORE.read_model(self._graph)
        if shape is not None:
            model.reshape(list(shape))
        return _compiled(model, "f32", self.THREADING)


class _Compiled:
    """A compiled network. Its one infer request keeps the memory of the largest pass, so passes take turns."""

    def __init__(self, model: openvino.CompiledModel) -> None:
        self._request, self._under_way = model.create_infer_request(), Lock()

    def __call__(self, pixels: Inputs) -> tuple[NDArray[np.float32], ...]:
        with self._under_way:
            # Faster by 0.1 ms than infer(pixels).
            self._request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(pixels)))
            self._request.start_async()
            self._request.wait()
            return tuple(tensor.data.copy() for tensor in self._request.output_tensors)
