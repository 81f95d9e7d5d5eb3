"""Poor copies of the photos to calibrate on, as lots: what the price of quality is fitted to."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedder import Neighbourhoods, Places

from ..degradations import DEGRADATIONS
from ..evaluation.compared import Compared
from ..evaluation.embedding import EmbeddedSet, embed_photos
from ..evaluation.evaluation import Setting
from ..evaluation.protocols.protocol import Indices, Photo, ProtocolError, identity_numbers
from .copies import copies_of_a_kind, some_of_each
from .lots import Lot, lot_of, measured_of

MIN_PHOTOS, MIN_PEOPLE = 300, 100  # with a face: fewer do not tell what a poor photo costs
MIN_FACES = 100  # still found in photos of a kind, for its false match rate to say something
MOST_UNDEGRADED = 2000  # 2 million comparisons set the level; more would take memory by their square

Floats = NDArray[np.float64]


def lots_of(compared: Compared, neighbourhoods: Neighbourhoods, setting: Setting) -> list[Lot]:
    """Degrade copies of photos in every way, embed and compare them: first the undegraded, then the kinds.

    Raises ProtocolError where there are too few photos, CacheError.
    """
    faults = zip(compared.protocol.photos, compared.embedded.faults, strict=True)
    photos = [photo for photo, fault in faults if fault is None]
    require_enough(photos)
    generator = np.random.default_rng(setting.resampling.seed)
    undegraded = tuple(photos[k] for k in some_of_each(photos, generator, MOST_UNDEGRADED))
    kinds = [undegraded, *(copies_of_a_kind(photos, kind, generator) for kind in DEGRADATIONS)]
    every = replace(compared.protocol, photos=tuple(photo for kind in kinds for photo in kind), pairs=None)
    embedded = embed_photos(every, setting.embedder, setting.face, setting.cache, setting.progress)
    undegraded_lot, *poor = _lots(kinds, embedded, neighbourhoods)
    return [undegraded_lot, *(lot for lot in poor if len(lot) >= MIN_FACES)]


def require_enough(photos: list[Photo]) -> None:
    """Raise ProtocolError where photos with a face do not suffice for the price of quality."""
    n_people = len({photo.identity for photo in photos})
    if len(photos) < MIN_PHOTOS or n_people < MIN_PEOPLE:
        raise ProtocolError(
            f"{len(photos):,} photos of {n_people:,} people with a usable face are too few to fit what a poor photo "
            f"costs, which takes {MIN_PHOTOS} photos of {MIN_PEOPLE} people; add some, or leave out --cohort"
        )


def _lots(kinds: list[tuple[Photo, ...]], embedded: EmbeddedSet, neighbourhoods: Neighbourhoods) -> Iterator[Lot]:
    start = 0
    for photos in kinds:
        part = slice(start, start + len(photos))
        identities = identity_numbers([photo.identity for photo in photos])
        yield lot_of_faces(embedded.vectors[part], embedded.measures[part], identities, neighbourhoods)
        start += len(photos)


def lot_of_faces(
    vectors: NDArray[np.float32], measures: NDArray[np.float32], identities: Indices, neighbourhoods: Neighbourhoods
) -> Lot:
    """Compare those of n photos that have a face: embeddings (n, 128), measures (n, 8), identities (n,)."""
    has_face = ~np.isnan(vectors).any(axis=1)
    faces = vectors[has_face]
    places = Places(*neighbourhoods(faces), np.zeros(len(faces)))
    return lot_of(faces, identities[has_face], places, measured_of(faces, measures[has_face]))
