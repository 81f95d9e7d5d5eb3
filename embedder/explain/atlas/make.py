"""Make the atlas of a model from a folder of photos, and render it as one HTML page, which shows faces."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from ...image_formats import data_uri, png
from ...network import build_network, fuse_batch_norm
from ...pipeline import FaceEmbedder
from ...progress import Job, Progress
from ...weights.bundle import Bundle
from ..colors import painted
from .atlas import Atlas, Channel, atlas_of
from .channel_pictures import channel_attention, maximise_channels
from .faces import AtlasError, AtlasFaces, chosen_photos, collect_faces, own_traits
from .traits import TRAITS


@dataclass(frozen=True, slots=True)
class AtlasRequest:
    """The photos that an atlas is made from, and the user's own traits."""

    folder: Path
    n_photos: int  # maximum
    per_person: int  # maximum
    seed: int
    traits: Path | None  # a CSV file of the user's own


def make_atlas(
    wanted: AtlasRequest, bundle: Bundle, embedder: FaceEmbedder, progress: Progress
) -> tuple[Atlas, AtlasFaces]:
    """Measure a model's channels. Raises AtlasError, BulkError."""
    network = fuse_batch_norm(build_network(bundle).eval())  # first: without one there is no atlas
    photos, n_other_files = chosen_photos(
        wanted.folder, n_photos=wanted.n_photos, per_person=wanted.per_person, seed=wanted.seed
    )
    with progress(Job("embedding", len(photos))) as advance:
        faces = collect_faces(photos, wanted.folder, embedder, advance)
    if not np.ptp(faces.vectors, axis=0).all():
        raise AtlasError(
            "a channel has the same value for all faces, so it correlates with no trait: retrain the model"
        )
    traits = list(TRAITS)
    if wanted.traits is not None:
        more, values = own_traits(wanted.traits, faces.names)
        traits += more
        faces = replace(faces, traits=np.concatenate([faces.traits, values], axis=1))
    with progress(Job("covering places of", len(faces.kept), "faces")) as advance:
        looks_at = channel_attention(faces.kept, embedder.embed_chips, advance)
    spread = torch.from_numpy(faces.vectors.std(axis=0))
    with progress(Job("drawing pictures of", len(spread), "channels")) as advance:
        pictures = maximise_channels(network, faces.mean, spread, advance)
    return atlas_of(faces, traits, looks_at, pictures, embedder.identity), replace(faces, n_other_files=n_other_files)


N_FACES = 6  # shown at each end of a channel
LOOKS_PX, TOGETHER_PX = 96, 512

Shown = tuple[Channel, dict[str, list[str]], str]  # with data URIs of the faces at its ends and of its sensitivity map


def atlas_page(atlas: Atlas, faces: AtlasFaces) -> str:
    """Render the page. Undefined names in the template raise, all text is escaped, and the page makes no requests."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("atlas.html")
    return template.render(atlas=atlas, shown=_shown(atlas, faces), together=_together(atlas.together))


def _shown(atlas: Atlas, faces: AtlasFaces) -> Iterator[Shown]:
    for channel in atlas.channels:
        order = np.argsort(faces.vectors[:, channel.channel], kind="stable")
        ends = {"highest": _of_other_people(order[::-1], faces), "lowest": _of_other_people(order, faces)}
        yield channel, ends, _looked_at(channel.looks_at)


def _of_other_people(order: NDArray[np.intp], faces: AtlasFaces) -> list[str]:
    """Return the first faces in this order, at most one of each person."""
    found: dict[int, str] = {}
    for place in order.tolist():
        found.setdefault(int(faces.people[place]), data_uri("jpeg", faces.small[place]))
        if len(found) == N_FACES:
            break
    return list(found.values())


def _looked_at(changes: NDArray[np.float64]) -> str:
    pixels = painted(changes.astype(np.float32), (0.0, float(changes.max())))
    return _uri(Image.fromarray(pixels).resize((LOOKS_PX, LOOKS_PX), Image.Resampling.BICUBIC))


def _together(correlations: NDArray[np.float64]) -> str:
    pixels = painted(correlations.astype(np.float32), (-1.0, 1.0))
    return _uri(Image.fromarray(pixels).resize((TOGETHER_PX, TOGETHER_PX), Image.Resampling.NEAREST))


def _uri(picture: Image.Image) -> str:
    return data_uri("png", png(picture))
