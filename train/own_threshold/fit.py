"""All that gives every pair its own threshold, from a cohort of strangers and the photos to calibrate on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedder import Places, sha256_of

from ..evaluation.compared import Compared
from ..evaluation.evaluation import Setting
from ..evaluation.protocols.protocol import Protocol
from .cohort import Learned, learn, require_other_people
from .foundation import Foundation
from .lots import measured_of
from .poor_photos import lots_of, require_enough
from .price import fit_quality


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """A cohort's photos, and how they become embeddings."""

    protocol: Protocol
    population: str  # whom they show and how they were taken, in words
    setting: Setting


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What was fitted, and where it places the photos to calibrate on."""

    foundation: Foundation
    places: Places  # (n,) NaN where there is no face
    neighbourhood: bytes  # the bundle's file


def fit(compared: Compared, strangers: Strangers, setting: Setting, default_fmr: float) -> Fitted:
    """Learn neighbourhoods from strangers and what quality costs from poor copies of the compared photos.

    Raises ProtocolError where there are too few of either, or where they share people; CacheError.
    """
    require_other_people(compared.protocol, strangers.protocol)
    faults = zip(compared.protocol.photos, compared.embedded.faults, strict=True)
    require_enough([photo for photo, fault in faults if fault is None])
    learned = learn(strangers.protocol, strangers.population, strangers.setting, compared.embedded)
    neighbourhoods = learned.neighbourhoods()
    foundation = Foundation(
        coefficients_sha256=sha256_of(learned.file),
        cohort=learned.judged(_faces(compared)),
        mean_range=learned.mean_range,
        spread_range=learned.spread_range,
        quality=fit_quality(lots_of(compared, neighbourhoods, setting), default_fmr),
    )
    return Fitted(foundation, _places(compared, learned, foundation), learned.file)


def _faces(compared: Compared) -> NDArray[np.float32]:
    vectors = compared.embedded.vectors
    return vectors[~np.isnan(vectors).any(axis=1)]


def _places(compared: Compared, learned: Learned, foundation: Foundation) -> Places:
    vectors, measures = compared.embedded.vectors, compared.embedded.measures
    penalties = foundation.quality.penalties(measured_of(vectors, measures))
    return Places(*learned.neighbourhoods()(vectors), np.where(np.isnan(vectors[:, 0]), np.nan, penalties))
