"""Which library runs the networks: what was asked for, or the quickest that is there."""

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
    """How networks are to run."""

    runtime: RuntimeName | None = None  # None: openvino on a CPU, where it is installed and the bundle has a graph
    device: str = CPU  # of torch, as it names them: cpu, cuda, cuda:1, mps
    precision: Precision = "f32"  # of embeddings; faces are found in f32 by OpenVINO
    threads: int | None = None  # of one pass, on whichever cores are free; None: as many as there are cores


def runtime_for(bundle: Bundle, running: RuntimeOptions) -> Runtime:
    """Make the runtime for a bundle. Raises RuntimeUnavailable where it cannot be had here."""
    name = running.runtime or _quickest(bundle, running)
    return _torch(running) if name == "torch" else _openvino(running)


def _quickest(bundle: Bundle, running: RuntimeOptions) -> RuntimeName:
    is_for_torch_alone = bundle.graph is None and running.precision != "int8"
    if running.device != CPU or is_for_torch_alone:
        return "torch"
    is_there = find_spec("openvino") is not None or find_spec("torch") is None  # of neither: what `service` brings
    return "openvino" if is_there else "torch"


def _openvino(running: RuntimeOptions) -> Runtime:
    if running.device != CPU:
        raise RuntimeUnavailable(f"the runtime openvino computes on the CPU, not on {running.device}: say torch")
    try:
        from .openvino import OpenVinoRuntime  # noqa: PLC0415 - only where it is taken: torch serves without it
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(f"{error.name} is not installed; run: pip install 'visavis[service]'") from error
    return OpenVinoRuntime(running.precision, running.threads)


def small_network(graph: Path, shapes: Collection[tuple[int, ...]] = ()) -> Pass:
    """A small network that lies in an ONNX file, on the CPU; quicker on pixels of these shapes.

    Raises RuntimeUnavailable where OpenVINO is missing.
    """
    try:
        from .openvino import small_network as compiled  # noqa: PLC0415 - naming this module loads no runtime
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(f"{error.name} is not installed; run: pip install 'visavis[service]'") from error
    return compiled(graph, shapes)


def _torch(running: RuntimeOptions) -> Runtime:
    try:
        from .torch import TorchRuntime  # noqa: PLC0415 - as above; it takes seconds and hundreds of megabytes
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{error.name} is not installed, which a model without an exported network (network.onnx) and every device "
            "but the CPU need; run: pip install 'visavis[train]'"
        ) from error
    return TorchRuntime(running.device, running.precision, running.threads)
