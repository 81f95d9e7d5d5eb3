"""Load a FaceEmbedder from a bundle."""

import os
from dataclasses import replace

from .detection.detector import ONET, SHAPES, YUNET, CoarseToFineDetector, built_in_detector
from .errors import BundleError
from .image import Limits
from .pipeline import FaceEmbedder
from .quality import OCCLUSION_GRAPH, OCCLUSION_SHA256
from .runtime.choice import RuntimeOptions, load_small_network, runtime_for
from .weights.bundle import read_bundle, sha256_of
from .weights.card import ModelCard

AS_IT_IS_QUICKEST = RuntimeOptions()


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    limits: Limits | None = None,
    mirror: bool | None = None,
    running: RuntimeOptions = AS_IT_IS_QUICKEST,
) -> FaceEmbedder:
    """Load a model from a bundle's path or a built-in model's name; works offline. Raises ModelError.

    The default is the first of `BUILT_IN_MODELS`.

    `mirror` overrides the card: whether an embedding is the mean over a chip and its mirror image. A value other than
    the card's changes the digest and leaves no operating points.
    """
    bundle = read_bundle(model)
    _require_our_detector(bundle.card)
    _require_our_occlusion_network()
    if mirror is not None:
        bundle = replace(bundle, card=bundle.card.with_mirror(mirror=mirror))
    runtime = runtime_for(bundle, running)
    return FaceEmbedder(
        bundle.without_spare_tensors(),
        runtime.embedding(bundle),
        CoarseToFineDetector(load_small_network(YUNET, SHAPES), load_small_network(ONET)),
        load_small_network(OCCLUSION_GRAPH),
        limits or Limits(),
    )


def _require_our_detector(card: ModelCard) -> None:
    """Raise BundleError if the model was made for a different detector."""
    ours = built_in_detector()
    if card.detector != ours:
        raise BundleError(
            f"{card.name} was made for the detector {card.detector.name}, but this visavis uses {ours.name}: "
            "its embeddings and thresholds are not valid here; use the visavis it was made with, or make it again"
        )


def _require_our_occlusion_network() -> None:
    """Raise BundleError if the network that measures covers was changed after visavis was made."""
    if sha256_of(OCCLUSION_GRAPH.read_bytes()) != OCCLUSION_SHA256:
        raise BundleError(f"{OCCLUSION_GRAPH.name} is not the file of this visavis (sha256 differs); install it again")
