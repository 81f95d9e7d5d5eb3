"""From a bundle's folder to a FaceEmbedder that is ready to be used."""

import os
from pathlib import Path

from .detection.cascade import Cascade, CascadeSettings
from .detection.finder import FaceFinder
from .detection.weights import load_networks
from .grading import Grader
from .image import Limits
from .neighbourhood import Neighbourhoods
from .pipeline import FaceEmbedder
from .runtime.torch import TorchEmbedder
from .weights.bundle import BUILT_IN, Bundle, read_bundle


def load(
    path: str | os.PathLike[str] | None = None, *, limits: Limits | None = None, mirror: bool | None = None
) -> FaceEmbedder:
    """Load a model bundle, by default the built-in one, ready to use offline. Raises BundleError.

    `mirror` overrules the card: are embeddings means over a chip and its mirror image? Other embeddings have another
    digest, and no operating points.
    """
    bundle = read_bundle(Path(path) if path is not None else BUILT_IN)
    if mirror is not None:
        card = bundle.card.with_mirror(mirror=mirror)
        bundle = Bundle(card, bundle.tensors, bundle.neighbourhood if card.own_threshold is not None else None)
    finder = FaceFinder(Cascade(load_networks(), CascadeSettings()))
    return FaceEmbedder(bundle.card, TorchEmbedder(bundle), finder, limits or Limits(), _grader(bundle))


def _grader(bundle: Bundle) -> Grader | None:
    own = bundle.card.own_threshold
    if own is None or bundle.neighbourhood is None:
        return None
    return Grader(own, Neighbourhoods.of(own.mean_range, own.spread_range, bundle.neighbourhood))
