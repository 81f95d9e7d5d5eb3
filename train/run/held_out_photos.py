"""Prepared chips as an evaluation takes them: photos with identities, and the embeddings of their faces."""

import numpy as np

from embedder import FaceEmbedder

from ..data.prepared import PreparedData
from ..evaluation.embedding import EmbeddedSet
from ..evaluation.protocols.protocol import Indices, Protocol

BATCH = 64


def protocol_of(data: PreparedData, positions: Indices, name: str) -> Protocol:
    """Return the photos behind some chips, to be compared all against all."""
    return Protocol(name, tuple(data.photo(int(k)) for k in positions), None, data.face)


def embedded_chips(data: PreparedData, positions: Indices, embedder: FaceEmbedder) -> EmbeddedSet:
    """Embed chips as serving embeds the faces of their photos, which are these very chips."""
    parts = [positions[start : start + BATCH] for start in range(0, len(positions), BATCH)]
    vectors = np.concatenate([embedder.embed_faces(data.chips(part)) for part in parts])
    digests = tuple(data.image_digests[k] for k in positions)
    return EmbeddedSet(vectors, (None,) * len(positions), digests, data.measures[positions])
