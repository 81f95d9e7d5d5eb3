"""Select the library that runs the networks: the requested one, or the fastest one installed."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ..errors import RuntimeUnavailable
from ..types import Pass, Precision
from ..weights.bundle import Bundle
from .runtime import Runtime

RuntimeName = Literal["openvino", "torch"]
CPU = "cpu"


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """The runtime, device, precision and number of threads for running networks."""

    runtime: RuntimeName | None = None  # None: openvino on a CPU, if it is installed and the bundle has a graph
    device: str = CPU  # torch device: cpu, cuda, cuda:1, mps
    precision: Precision = "f32"  # of embeddings; face detection always runs in f32 by OpenVINO
    threads: int | None = None  # per forward pass, not pinned to cores; None: the number of cores


def runtime_for(bundle: Bundle, running: RuntimeOptions) -> Runtime:
    """Return the runtime for a bundle. Raises RuntimeUnavailable if it is not available."""
    name = running.runtime or _quickest(bundle, running)
    return _torch(running) if name == "torch" else _openvino(running)


def _quickest(bundle: Bundle, running: RuntimeOptions) -> RuntimeName:
    is_for_torch_alone = bundle.graph is None and running.precision != "int8"
    if running.device != CPU or is_for_torch_alone:
        return "torch"
    is_there = (
        find_spec("openvino") is not None or find_spec("torch") is None
    )  # if neither is installed, name openvino, which the extra `service` includes
    return "openvino" if is_there else "torch"


def _openvino(running: RuntimeOptions) -> Runtime:
    if running.device != CPU:
        raise RuntimeUnavailable(f"the runtime openvino runs on the CPU only, not on {running.device}; use torch")
    try:
        from .openvino import OpenVinoRuntime  # noqa: PLC0415 - only if selected: torch works without it
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(f"{error.name} is not installed; run: pip install 'visavis[service]'") from error
    return OpenVinoRuntime(running.precision, running.threads)


def load_small_network(graph: Path, shapes: Collection[tuple[int, ...]] = ()) -> Pass:
    """Return a small network from an ONNX file, run on the CPU; faster on inputs of these shapes.

    Raises RuntimeUnavailable if OpenVINO is not installed.
    """
    try:
        from .openvino import compile_small_network as compiled  # noqa: PLC0415 - importing this module must load no runtime
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(f"{error.name} is not installed; run: pip install 'visavis[service]'") from error
    return compiled(graph, shapes)


def _torch(running: RuntimeOptions) -> Runtime:
    try:
        from .torch import TorchRuntime  # noqa: PLC0415 - as above; it needs seconds and hundreds of megabytes
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{error.name} is not installed; models without an exported network (network.onnx) and devices other than "
            "the CPU need it; run: pip install 'visavis[train]'"
        ) from error
    return TorchRuntime(running.device, running.precision, running.threads)
