"""Explainer: why a FaceEmbedder answers as it does, and what its network sees. Nothing is kept of the photos."""

from functools import partial
from typing import Unpack

from ..decision import VerifyKeywords, VerifyOptions
from ..errors import SampleError
from ..pipeline import FaceEmbedder
from ..types import FaceChoice
from .explanation import Explanation, ProbeReference, explain_comparison, explained_face
from .inspection import LazyInspector
from .layers import NetworkDescription
from .maps import FeatureMaps, feature_maps
from .occlusion import saliency_map


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
