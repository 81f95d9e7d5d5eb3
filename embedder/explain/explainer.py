"""Explainer: why a FaceEmbedder answers as it does, and what its network sees. Nothing is kept of the photos."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Unpack

from ..decision import VerifyKeywords, VerifyOptions
from ..errors import RuntimeUnavailable, SampleError
from ..pipeline import FaceEmbedder
from ..types import FaceChoice
from ..weights.bundle import Bundle
from .explanation import Explanation, ProbeReference, explain_comparison, explained_face
from .layers import NetworkDescription
from .maps import FeatureMaps, feature_maps
from .occlusion import saliency_map

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


class Explainer:
    """Looks into the network of a FaceEmbedder. Every method blocks, and may be called from several threads."""

    def __init__(self, embedder: FaceEmbedder) -> None:
        self._embedder = embedder
        self._inspector = LazyInspector(embedder.bundle)

    def explain(
        self, probe: bytes, reference: bytes, *, saliency: bool = True, **options: Unpack[VerifyKeywords]
    ) -> Explanation:
        """Why `verify` says of two images what it says: their places that matter, if asked for, and their channels.

        Keywords are those of `FaceEmbedder.verify`, and so are the errors.
        """
        embedder = self._embedder
        batch, faces = embedder.verify_faces(probe, [reference], VerifyOptions(**options))
        (comparison,) = batch.results
        if isinstance(comparison, SampleError):
            raise comparison
        sides = [explained_face(face.chip, face.vector, embedder.card.alignment) for face in faces]
        method = partial(saliency_map, embed=embedder.embed_chips) if saliency else None
        return explain_comparison(comparison, ProbeReference(*sides), embedder.card, method)

    def describe(self) -> NetworkDescription:
        """The network layer by layer. Raises RuntimeUnavailable where it cannot be looked into here."""
        return self._inspector().description

    def maps(self, image: bytes, *, layer: str, face: FaceChoice = "dominant") -> FeatureMaps:
        """What a layer makes of the face that `face` means. Raises UnknownLayer, ImageError, FaceError."""
        inspector = self._inspector()
        described = inspector.layer(layer)
        chip = self._embedder.chip(image, face=face)
        return feature_maps(described, chip, self._embedder.identity, inspector.maps(layer, chip.pixels))
