"""From a bundle's folder to a FaceEmbedder that is ready to be used."""

import os
from dataclasses import replace
from pathlib import Path

from .detection.finder import FaceFinder
from .detection.graphs import ONET, YUNET
from .explain.opening import Opening
from .grading import Grader
from .image import Limits
from .neighbourhood import Neighbourhoods
from .pipeline import FaceEmbedder
from .runtime.choice import Running, runtime_for, small_network
from .weights.bundle import BUILT_IN, Bundle, read_bundle

AS_IT_IS_QUICKEST = Running()


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    limits: Limits | None = None,
    mirror: bool | None = None,
    running: Running = AS_IT_IS_QUICKEST,
) -> FaceEmbedder:
    """Load a model bundle, by default the built-in one, ready to use offline. Raises ModelError.

    `mirror` overrules the card: are embeddings means over a chip and its mirror image? Other embeddings have another
    digest, and no operating points.
    """
    bundle = read_bundle(Path(path) if path is not None else BUILT_IN)
    if mirror is not None:
        card = bundle.card.with_mirror(mirror=mirror)
        bundle = replace(bundle, card=card, neighbourhood=bundle.neighbourhood if card.own_threshold else None)
    runtime = runtime_for(bundle, running)
    return FaceEmbedder(
        bundle.card,
        runtime.embedding(bundle),
        FaceFinder(small_network(YUNET), small_network(ONET)),
        limits or Limits(),
        _grader(bundle),
        Opening(bundle),
    )


def _grader(bundle: Bundle) -> Grader | None:
    own = bundle.card.own_threshold
    if own is None or bundle.neighbourhood is None:
        return None
    return Grader(own, Neighbourhoods.of(own.mean_range, own.spread_range, bundle.neighbourhood))
