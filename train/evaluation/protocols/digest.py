"""One digest for the data of an evaluation: who is on which picture, and what is compared with what.

It does not depend on where the files lie or in which order they were read.
"""

import hashlib
import json
from collections.abc import Sequence

from .protocol import PairList, Protocol

_DatedPhoto = tuple[str, str]  # identity, digest of the image


def data_digest(protocol: Protocol, image_digests: Sequence[str]) -> str:
    """Digest identities, images and listed comparisons with their folds: "sha256:..."."""
    photos = [(photo.identity, image) for photo, image in zip(protocol.photos, image_digests, strict=True)]
    facts = [sorted(photos), None if protocol.pairs is None else sorted(_pairs(protocol.pairs, photos))]
    return "sha256:" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _pairs(pairs: PairList, photos: Sequence[_DatedPhoto]) -> list[tuple[int, bool, list[_DatedPhoto]]]:
    """List them; which of two photos is the probe makes no difference to their distance."""
    folds = [-1] * len(pairs.same) if pairs.fold is None else pairs.fold.tolist()
    columns = (folds, pairs.same.tolist(), pairs.probe.tolist(), pairs.reference.tolist())
    return [(fold, same, sorted((photos[i], photos[j]))) for fold, same, i, j in zip(*columns, strict=True)]
