"""From a bundle, or the name of a backbone, to a network with its inside open."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import RuntimeUnavailable
from ..weights.bundle import Bundle

if TYPE_CHECKING:
    from .explanation import SaliencyMethod
    from .inspector import NetworkInspector


class LazyInspector:
    """Opens a bundle's network when it is first asked for, and keeps it open. Safe to call from several threads."""

    def __init__(self, bundle: Bundle) -> None:
        self._open, self._lock = _opener(bundle), Lock()
        self._inside: NetworkInspector | None = None

    def __call__(self) -> "NetworkInspector":
        """The opened network. Raises RuntimeUnavailable where what it takes is not installed."""
        with self._lock:
            if self._inside is None:
                self._inside = self._open()
            return self._inside


def inspect_bundle(bundle: Bundle) -> "NetworkInspector":
    """Open a bundle's network. Raises RuntimeUnavailable where what it takes is not installed."""
    return _opener(bundle)()


def inspect_backbone(name: str) -> "NetworkInspector":
    """Open a network of that backbone which has learnt nothing. Raises BundleError, RuntimeUnavailable."""
    try:
        from ..network import untrained_network  # noqa: PLC0415 - the same
        from ..runtime.export import self_standing_graph  # noqa: PLC0415 - it takes torch
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    network = untrained_network(name)
    return _inside(self_standing_graph(network), sum(each.numel() for each in network.parameters()))


def gradient_method(bundle: Bundle) -> "SaliencyMethod":
    """Which places matter, by the gradients of a bundle's network. Raises RuntimeUnavailable as above."""
    try:
        from ..network import build_network, fold  # noqa: PLC0415 - they take torch
        from .gradients import gradient_map  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    return partial(gradient_map, network=fold(build_network(bundle).eval()))


def _opener(bundle: Bundle) -> Callable[[], "NetworkInspector"]:
    """How to open it; where the bundle has an exported graph, without keeping its weights."""
    stored, graph = bundle.card.provenance.stored_parameters, bundle.graph
    if graph is not None:
        return lambda: _inside(graph, stored)
    return lambda: _inside(_exported(bundle), stored)


def _inside(graph: Path | bytes, stored_parameters: int) -> "NetworkInspector":
    try:
        from .inspector import NetworkInspector  # noqa: PLC0415 - it takes openvino, which torch alone serves without
    except ModuleNotFoundError as error:
        raise _needs(error.name, "service") from error
    return NetworkInspector(graph, stored_parameters)


def _exported(bundle: Bundle) -> bytes:
    try:
        from ..network import build_network  # noqa: PLC0415 - as above
        from ..runtime.export import self_standing_graph  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    return self_standing_graph(build_network(bundle).eval())


def _needs(module: str | None, extra: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"{module} is not installed, which looking inside this network needs; run: pip install 'visavis[{extra}]'"
    )
