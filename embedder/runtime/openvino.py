"""Networks run by OpenVINO on the CPU, from exported graphs, with the weights that lie beside them; needs no torch.

Importing it, and its converter, report to its maker by openvino_telemetry, which is installed with it. Here that module
cannot be imported, so nothing is sent, and graphs are read by the core alone.
"""

import sys
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from threading import local
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, RuntimeUnavailable
from ..types import Inputs, Pass, Precision
from ..weights.bundle import Bundle, int8_graph_of
from .runtime import DynamicBatcher, EmbeddingNetwork

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # whose import then fails, as openvino allows for
import openvino  # noqa: E402 - only after that
from openvino._offline_transformations import apply_moc_transformations  # noqa: E402 - the same; openvino's own use it

# Two threads that are the first to ask for a tensor's data wait for each other for ever: so here one is.
_ = openvino.Tensor(np.zeros(1, np.uint8)).data

# What is compiled for pictures of one size is kept for the next. Of its own accord OpenVINO keeps 5,000 such kernels a
# network, and pictures of many sizes then make memory grow for thousands of photos.
KERNELS_KEPT = 256

Node: TypeAlias = openvino.Node
Model: TypeAlias = openvino.Model
Shape: TypeAlias = tuple[int, ...]


class OpenVinoRuntime:
    """On all cores of the CPU, or with so many threads."""

    def __init__(self, precision: Precision = "f32", threads: int | None = None) -> None:
        """Compute embeddings in that precision. Raises RuntimeUnavailable where this processor cannot."""
        self._core, self._precision, self._threads = openvino.Core(), precision, threads
        if precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeUnavailable("this processor does not compute in bf16: say f32")

    def embedding(self, bundle: Bundle) -> EmbeddingNetwork:
        """The network of a bundle. Raises BundleError where it has no graph, RuntimeUnavailable where none in int8."""
        if self._precision == "int8":
            return self.embedding_of_file(int8_graph_of(bundle))
        if bundle.graph is None:
            raise BundleError("the bundle has no exported network (network.onnx), which openvino needs: say torch")
        return self.embedding_of_file(bundle.graph)

    def embedding_of_file(self, network: Path) -> EmbeddingNetwork:
        """An embedding network that lies in a file of its own: .onnx, or .xml with its .bin."""
        return EmbeddingNetwork(
            DynamicBatcher(self._pass(network, self._precision, _threads_of_a_pass(self._threads))),
            self._precision,
            f"openvino {self._precision}",
        )

    def _pass(self, graph: Path, precision: Precision, threading: dict[str, int | bool]) -> "_Compiled":
        return _compiled(self._core, self._core.read_model(graph), precision, threading)


def small_network(graph: Path, shapes: Collection[Shape] = ()) -> Pass:
    """A network so small that it runs in the thread that calls it: two threads of its own would wait for each other.

    It takes pixels of any shape, and is quicker on these: for each of them it is compiled apart when it first comes.
    """
    return _SmallNetwork(graph, frozenset(shapes))


def _compiled(
    core: openvino.Core, model: Model, precision: Precision, threading: Mapping[str, int | bool]
) -> "_Compiled":
    hint = "f32" if precision == "int8" else precision  # of an int8 graph it is for what was left in f32
    settings = {"INFERENCE_PRECISION_HINT": hint, "CPU_RUNTIME_CACHE_CAPACITY": KERNELS_KEPT, **threading}
    return _Compiled(core.compile_model(model, "CPU", settings))


def _threads_of_a_pass(threads: int | None) -> dict[str, int | bool]:
    """All cores, or so many threads: not tied to cores then, for every process would tie its own to the same ones."""
    return {} if threads is None else {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}


def convert(graph: bytes, file: Path) -> None:
    """Write an ONNX graph, weights inside, in OpenVINO's own format: `file` is the .xml; a .bin comes beside it."""
    openvino.save_model(openvino.Core().read_model(graph), file, compress_to_fp16=False)


def folded(graph: Path | bytes) -> Model:
    """The steps of a graph as it runs for one input: all shapes known, normalisations folded into convolutions."""
    model = openvino.Core().read_model(graph)
    (dimensions,) = (parameter.get_partial_shape() for parameter in model.get_parameters())
    model.reshape([1, *(dimension.get_length() for dimension in list(dimensions)[1:])])
    apply_moc_transformations(model, cf=True)
    return model


def watched(model: Model, nodes: Sequence[Node]) -> Pass:
    """Run a model up to these of its steps, and answer with what each of them gives."""
    part = openvino.Model([node.output(0) for node in nodes], model.get_parameters())
    return _Compiled(openvino.Core().compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))


class _SmallNetwork:
    """See small_network. Threads that call it at the same time each run a copy: one copy would lock the others out."""

    THREADING: ClassVar[Mapping[str, int | bool]] = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1}

    def __init__(self, graph: Path, shapes: frozenset[Shape]) -> None:
        self._core, self._graph, self._shapes = openvino.Core(), graph, shapes
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
        """Compile a copy for pictures of one shape, or of any."""
        model = self._core.read_model(self._graph)
        if shape is not None:
            model.reshape(list(shape))
        return _compiled(self._core, model, "f32", self.THREADING)


class _Compiled:
    """A network. A request does one thing at a time, so each thread has one of its own."""

    def __init__(self, model: openvino.CompiledModel) -> None:
        self._model, self._own = model, local()

    def __call__(self, pixels: Inputs) -> tuple[NDArray[np.float32], ...]:
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        request = self._own.request
        request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(pixels)))  # quicker by 0.1 ms than infer(pixels)
        request.start_async()
        request.wait()
        return tuple(tensor.data.copy() for tensor in request.output_tensors)
