"""Explainer: explains the comparisons of a FaceEmbedder and inspects its network. It stores no photos."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Unpack

from ..decision import VerifyKeywords, VerifyOptions
from ..errors import BundleError, RuntimeUnavailable, SampleError
from ..pipeline import FaceEmbedder
from ..types import FaceSelector
from ..weights.bundle import Bundle
from .explanation import Explanation, ProbeReference, explain_comparison, explained_face
from .layers import NetworkDescription
from .maps import FeatureMaps, feature_maps
from .occlusion import saliency_map

if TYPE_CHECKING:
    from .explanation import SaliencyMethod
    from .inspector import NetworkInspector


class LazyInspector:
    """Opens a bundle's network on first use and keeps it open. Thread-safe."""

    def __init__(self, bundle: Bundle) -> None:
        self._open, self._lock = _opener(bundle), Lock()
        self._inside: NetworkInspector | None = None

    def __call__(self) -> "NetworkInspector":
        """Return the opened network. Raises RuntimeUnavailable if a required library is not installed."""
        with self._lock:
            if self._inside is None:
                self._inside = self._open()
            return self._inside


def inspect_bundle(bundle: Bundle) -> "NetworkInspector":
    """Open a bundle's network. Raises RuntimeUnavailable if a required library is not installed."""
    return _opener(bundle)()


def inspect_backbone(name: str) -> "NetworkInspector":
    """Open an untrained network of that backbone. Raises BundleError, RuntimeUnavailable."""
    try:
        from ..network import untrained_network  # noqa: PLC0415 - the same
        from ..runtime.export import self_standing_graph  # noqa: PLC0415 - it needs torch
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    network = untrained_network(name)
    return _inside(self_standing_graph(network), sum(each.numel() for each in network.parameters()))


def gradient_method(bundle: Bundle) -> "SaliencyMethod":
    """Return a saliency method by the gradients of a bundle's network. Raises RuntimeUnavailable without torch."""
    try:
        from ..network import build_network, fuse_batch_norm  # noqa: PLC0415 - they need torch
        from .gradients import gradient_map  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    return partial(gradient_map, network=fuse_batch_norm(build_network(bundle).eval()))


def _opener(bundle: Bundle) -> Callable[[], "NetworkInspector"]:
    """Return a function that opens the network; if the bundle has an exported graph, it keeps no weights in memory."""
    stored, graph = bundle.card.provenance.stored_parameters, bundle.graph
    if graph is not None:
        return lambda: _inside(graph, stored)
    return lambda: _inside(_exported(bundle), stored)


def _inside(graph: Path | bytes, stored_parameters: int) -> "NetworkInspector":
    try:
        from .inspector import NetworkInspector  # noqa: PLC0415 - it needs openvino, which serving with torch does not
    except ModuleNotFoundError as error:
        raise _needs(error.name, "service") from error
    try:
        return NetworkInspector(graph, stored_parameters)
    except (
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:  # layers of imported networks may be of any kind
        raise BundleError(
            "the network has layers that visavis cannot describe (neither convolutions over pictures, pools nor matrix "
            "products): describe and maps are not available"
        ) from error


def _exported(bundle: Bundle) -> bytes:
    try:
        from ..network import build_network  # noqa: PLC0415 - as above
        from ..runtime.export import self_standing_graph  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise _needs(error.name, "train") from error
    return self_standing_graph(build_network(bundle).eval())


def _needs(module: str | None, extra: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"{module} is not installed; inspecting this network needs it; run: pip install 'visavis[{extra}]'"
    )


class Explainer:
    """Explains comparisons and inspects the network of a FaceEmbedder. All methods block and are thread-safe."""

    def __init__(self, embedder: FaceEmbedder) -> None:
        self._embedder = embedder
        self._inspector = LazyInspector(embedder.bundle)

    def explain(
        self, probe: bytes, reference: bytes, *, saliency: bool = True, **options: Unpack[VerifyKeywords]
    ) -> Explanation:
        """Verify two images and explain the distance by channels and, if `saliency` is set, by places of the faces.

        Keywords and errors are those of `FaceEmbedder.verify`.
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
        """Describe the network layer by layer. Raises RuntimeUnavailable if a required library is not installed."""
        return self._inspector().description

    def maps(self, image: bytes, *, layer: str, face: FaceSelector = "dominant") -> FeatureMaps:
        """Return a layer's feature maps of the face that `face` selects. Raises UnknownLayer, ImageError, FaceError."""
        inspector = self._inspector()
        described = inspector.layer(layer)
        chip = self._embedder.chip(image, face=face)
        return feature_maps(described, chip, self._embedder.identity, inspector.maps(layer, chip.pixels))
