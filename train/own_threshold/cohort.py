"""From a folder of strangers to the regression that stands for them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedder import CalibrationData, Cohort, Neighbourhoods, serialize_tensors

from ..evaluation.embedding import EmbeddedSet, embed_photos
from ..evaluation.evaluation import Setting
from ..evaluation.protocols.digest import data_digest
from ..evaluation.protocols.protocol import Indices, Protocol, ProtocolError
from . import regression
from .copies import SHARE, one_of_each, random_copies
from .neighbours import N_NEAREST, neighbours

MIN_PEOPLE = 500  # with a face: of fewer, the 50 nearest strangers would be no near ones
EXTREME = 1e-3  # share of the fitted faces beyond either end of the range in which predictions are held
DIGITS = 6  # significant ones of what a card states

Floats = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Strangers:
    """The cohort itself, which is forgotten when the regression is fitted and judged."""

    vectors: NDArray[np.float32]  # (c, 128)
    identities: Indices  # (c,)
    n_degraded: int  # of them


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What is kept of a cohort."""

    data: CalibrationData
    strangers: Strangers
    coefficients: regression.Coefficients
    mean_range: Range
    spread_range: Range

    @property
    def file(self) -> bytes:
        """The bytes of a bundle's neighbourhood.safetensors."""
        return serialize_tensors(self.coefficients)

    def neighbourhoods(self) -> Neighbourhoods:
        """Return what predicts, as a bundle with these coefficients does."""
        return Neighbourhoods.of(self.mean_range, self.spread_range, self.coefficients)

    def judged(self, vectors: NDArray[np.float32]) -> Cohort:
        """Say how well it predicts for faces (n, 128) of people who are not in the cohort."""
        nobody = np.full(len(vectors), -1, np.int32)
        true = neighbours(vectors, nobody, self.strangers.vectors, self.strangers.identities)
        found = self.neighbourhoods()(vectors)
        return Cohort(
            data=self.data,
            n_nearest=N_NEAREST,
            n_degraded=self.strangers.n_degraded,
            regularization=regression.REGULARIZATION,
            r2_mean=_rounded(regression.r_squared(found[0], true[0])),
            r2_log_spread=_rounded(regression.r_squared(np.log(found[1]), np.log(true[1]))),
        )


def learn(protocol: Protocol, population: str, setting: Setting, photos: EmbeddedSet) -> Learned:
    """Embed a cohort's photos and poor copies of a third of them, and fit.

    Raises CacheError, and ProtocolError where the cohort is too small or shares images with the photos to calibrate on.
    """
    generator = np.random.default_rng(setting.resampling.seed)
    every = replace(protocol, photos=(*protocol.photos, *random_copies(protocol.photos, generator)), pairs=None)
    embedded = embed_photos(every, setting.embedder, setting.face, setting.cache, setting.progress)
    has_face = np.array([fault is None for fault in embedded.faults])
    _require_other_images(embedded, photos)
    is_copy = np.arange(len(has_face)) >= len(protocol.photos)
    vectors, identities = embedded.vectors[has_face], every.identities[has_face]
    strangers = draw_strangers(vectors, identities, is_copy[has_face], generator)
    means, spreads = neighbours(vectors, identities, strangers.vectors, strangers.identities)
    coefficients = regression.fit(vectors, means, spreads)
    data = _data(protocol, population, embedded)
    return Learned(data, strangers, coefficients, _range(means), _range(spreads))


def require_other_people(photos: Protocol, cohort: Protocol) -> None:
    """Raise ProtocolError where a person of the cohort is among the photos too, by their name."""
    both = {photo.identity for photo in photos.photos} & {photo.identity for photo in cohort.photos}
    if both:
        raise ProtocolError(
            f"{_people(both)} both in the cohort and in the photos to calibrate on, such as {min(both)}; "
            "a cohort must be strangers: take them out of one of the two"
        )


def _require_other_images(learned_from: EmbeddedSet, photos: EmbeddedSet) -> None:
    both = set(learned_from.image_digests) & set(photos.image_digests)
    if both:
        raise ProtocolError(
            f"{len(both):,} of the cohort's images are among the photos to calibrate on, under other names; "
            "a cohort must be strangers: take them out of one of the two"
        )


def _people(both: set[str]) -> str:
    return "one person is" if len(both) == 1 else f"{len(both):,} people are"


def draw_strangers(
    vectors: NDArray[np.float32], identities: Indices, is_copy: NDArray[np.bool_], generator: np.random.Generator
) -> Strangers:
    """Draw one photo of every person, and a poor copy of about a third of them."""
    originals, copies = np.flatnonzero(~is_copy), np.flatnonzero(is_copy)
    clean = originals[one_of_each(identities[originals], generator)]
    if len(clean) < MIN_PEOPLE:
        raise ProtocolError(
            f"the cohort shows {len(clean):,} people with a usable face; own thresholds take {MIN_PEOPLE:,} or more. "
            "Give a larger cohort, or none: then there is one threshold for all pairs"
        )
    poor = copies[one_of_each(identities[copies], generator)]
    kept = np.sort(generator.permutation(len(poor))[: round(SHARE * len(clean))])
    chosen = np.concatenate([clean, poor[kept]])
    return Strangers(vectors[chosen], identities[chosen], len(kept))


def _data(protocol: Protocol, population: str, embedded: EmbeddedSet) -> CalibrationData:
    n = len(protocol.photos)
    return CalibrationData(
        name=protocol.name,
        digest=data_digest(replace(protocol, pairs=None), embedded.image_digests[:n]),
        population=population,
        n_identities=protocol.n_identities,
        n_images=n,
        n_without_face=sum(fault is not None for fault in embedded.faults[:n]),
    )


def _range(values: Floats) -> Range:
    low, high = np.quantile(values, [EXTREME, 1 - EXTREME])
    return _rounded(float(low)), _rounded(float(high))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
