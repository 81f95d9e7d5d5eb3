"""Load a FaceEmbedder from a bundle."""

import os
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial

from .detection.detector import ONET, SHAPES, YUNET, CoarseToFineDetector, built_in_detector
from .errors import BundleError
from .image import Limits
from .pipeline import Decoder, FaceEmbedder, InProcessDecoder
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
    decoding_processes: int = 0,
) -> FaceEmbedder:
    """Load a model from a bundle's path or a built-in model's name; works offline. Raises ModelError.

    The default is the first of `BUILT_IN_MODELS`.

    `mirror` overrides the card: whether an embedding is the mean over a chip and its mirror image. A value other than
    the card's changes the digest and leaves no operating points.

    With `decoding_processes`, images are decoded in so many processes, within a time limit; 0 decodes in this process.
    It takes Linux.
    """
    loaded = partial(_loaded, model, running, mirror=mirror)
    limits = limits or Limits()
    if not decoding_processes:
        return loaded(InProcessDecoder(limits))
    from .decoder_pool import DecoderPool  # noqa: PLC0415 - Linux only

    with ExitStack() as on_failure:
        decoder = on_failure.enter_context(closing(DecoderPool(limits, decoding_processes)))
        embedder = loaded(decoder)
        decoder.require_started()
        on_failure.pop_all()
    return embedder


def _loaded(
    model: str | os.PathLike[str] | None, running: RuntimeOptions, decoder: Decoder, *, mirror: bool | None
) -> FaceEmbedder:
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
        decoder,
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
