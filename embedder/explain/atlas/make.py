"""From a folder of people to their atlas, step by step."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ...network import build_network, fold
from ...pipeline import FaceEmbedder
from ...progress import Job, Progress
from ...types import EMBEDDING_SIZE
from ...weights.bundle import Bundle
from .atlas import Atlas, atlas_of
from .channel_pictures import channel_attention, maximise_channels
from .faces import AtlasError, AtlasFaces, chosen_photos, collect_faces, own_traits
from .traits import TRAITS


@dataclass(frozen=True, slots=True)
class AtlasRequest:
    """Whose faces, and how many of them."""

    folder: Path
    n_photos: int
    per_person: int
    seed: int
    traits: Path | None  # a CSV file of the user's own


def make_atlas(
    wanted: AtlasRequest, bundle: Bundle, embedder: FaceEmbedder, progress: Progress
) -> tuple[Atlas, AtlasFaces]:
    """Measure a model's channels. Raises AtlasError, BulkError."""
    photos = chosen_photos(wanted.folder, n_photos=wanted.n_photos, per_person=wanted.per_person, seed=wanted.seed)
    with progress(Job("embedding", len(photos))) as advance:
        faces = collect_faces(photos, wanted.folder, embedder, advance)
    if not np.ptp(faces.vectors, axis=0).all():
        raise AtlasError("a channel has the same value for every face, so nothing can go with it: train the model anew")
    traits = list(TRAITS)
    if wanted.traits is not None:
        more, values = own_traits(wanted.traits, faces.names)
        traits += more
        faces = replace(faces, traits=np.concatenate([faces.traits, values], axis=1))
    with progress(Job("covering places of", len(faces.kept), "faces")) as advance:
        looks_at = channel_attention(faces.kept, embedder.embed_chips, advance)
    network, spread = fold(build_network(bundle).eval()), torch.from_numpy(faces.vectors.std(axis=0))
    with progress(Job("drawing pictures of", EMBEDDING_SIZE, "channels")) as advance:
        pictures = maximise_channels(network, faces.mean, spread, advance)
    return atlas_of(faces, traits, looks_at, pictures, embedder.identity), faces
