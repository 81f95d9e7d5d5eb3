"""Fit the penalty for poor photos: how far the threshold must fall for pairs of poor photos to keep the claimed FMR.

Photos are copied with every kind of degradation and compared within a kind, all against all. The impostor comparisons
of all kinds, including undegraded photos, are pooled into bins by the sharpness of the better photo of each pair.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, QualityPenalty

from . import metrics
from .compared import ComparedPhotos
from .data_checks import without_doubles
from .embedding import DEGRADATIONS, embed_photos
from .evaluation import EvaluationConfig
from .metrics import Floats, ScoreDistribution
from .operating_points import FMRS, choose_threshold, rounded
from .protocols.protocol import Indices, LabeledPhoto, Protocol, ProtocolError, identity_numbers

MEASURE: Literal["sharpness"] = "sharpness"
N_BINS = 8  # of equally many impostor comparisons
MOST_PHOTOS = 2000  # per kind: 2 million comparisons
MOST_OF_ONE = 4  # photos per person, so that many people are included
MIN_PEOPLE = 100  # too few people cannot determine the penalty
MIN_FACES = 100  # detected in the copies of a kind, for a meaningful false match rate
POOREST = 0.01  # share of the poorest kind that is below `min_value`


@dataclass(frozen=True, slots=True, eq=False)
class DegradedFaces:
    """The faces of photos with the same degradation, or none."""

    vectors: NDArray[np.float32]  # (n, 128)
    identities: Indices  # (n,)
    sharpness: NDArray[np.float32]  # (n,)

    def impostor_pairs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compare all pairs of different people: distances (k,), and the sharpness of the better photo (k,)."""
        vectors = self.vectors.astype(np.float64)
        squares = (vectors**2).sum(axis=1)
        first, second = np.nonzero(np.triu(self.identities[:, None] != self.identities))
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))[first, second]
        return distances.astype(np.float32), np.maximum(self.sharpness[first], self.sharpness[second])


def fit_quality_penalties(
    compared: ComparedPhotos, setting: EvaluationConfig, further: Sequence[ComparedPhotos] = ()
) -> tuple[QualityPenalty, ...]:
    """Fit the penalty to degraded copies of photos, for the thresholds that hold on all populations.

    The comparisons have plain distances. The result is empty if poor photos need no penalty. Raises CacheError, and
    ProtocolError if the photos show too few people.
    """
    usable = [without_doubles(each, seed=setting.resampling.seed) for each in (compared, *further)]
    drawn = drawn_photos(usable[0], setting.resampling.seed)
    thresholds = {
        FMRS[point.name]: point.threshold for point in choose_threshold([each.scores.impostor.tally for each in usable])
    }
    kinds = [kind for kind in _kinds(compared.protocol, drawn, setting) if len(kind.vectors) >= MIN_FACES]
    penalty = penalty_of(kinds, thresholds)
    return () if penalty is None else (penalty,)


def drawn_photos(compared: ComparedPhotos, seed: int) -> tuple[LabeledPhoto, ...]:
    """Draw people, and a few photos with a usable face of each. Raises ProtocolError for too few people."""
    refused = compared.scoring.refused
    faults = compared.embedded.faults
    is_usable = [fault is None and (refused is None or not refused[k]) for k, fault in enumerate(faults)]
    of_person: dict[str, list[LabeledPhoto]] = defaultdict(list)
    for k in np.random.default_rng(seed).permutation(np.flatnonzero(is_usable)):
        photo = compared.protocol.photos[k]
        of_person[photo.identity].append(photo)
    if len(of_person) < MIN_PEOPLE:
        raise ProtocolError(
            f"photos of {len(of_person):,} people with a usable face are too few to fit a penalty for poor photos, "
            f"which needs {MIN_PEOPLE}; add photos of more people, or do without the penalty"
        )
    drawn = [photo for of_one in of_person.values() for photo in of_one[:MOST_OF_ONE]]
    return tuple(sorted(drawn[:MOST_PHOTOS], key=lambda photo: photo.name))


def copies_of(photos: Sequence[LabeledPhoto]) -> tuple[LabeledPhoto, ...]:
    """Return the photos, followed by copies with every kind of degradation."""
    return tuple(replace(photo, degradation=kind) for kind in (None, *DEGRADATIONS) for photo in photos)


def _kinds(protocol: Protocol, photos: Sequence[LabeledPhoto], setting: EvaluationConfig) -> Iterator[DegradedFaces]:
    """Embed the photos and their copies: first the undegraded photos, then each kind."""
    every = replace(protocol, photos=copies_of(photos), pairs=None)
    embedded = embed_photos(every, setting.embedder, setting.face, setting.cache, setting.progress)
    identities = identity_numbers([photo.identity for photo in photos])
    for start in range(0, len(every.photos), len(photos)):
        vectors = embedded.vectors[start : start + len(photos)]
        sharpness = embedded.measures[start : start + len(photos), MEASURES.index(MEASURE)]
        found = ~np.isnan(vectors[:, 0])
        yield DegradedFaces(vectors[found], identities[found], sharpness[found])


def penalty_of(kinds: Sequence[DegradedFaces], thresholds: Mapping[float, float]) -> QualityPenalty | None:
    """Fit a curve to kinds of photos, the first of which is undegraded; None if no bin needs a penalty.

    `thresholds` are those of the operating points, by FMR. A running maximum makes penalties rise for poorer bins.
    """
    distances, better = (np.concatenate(columns) for columns in zip(*(k.impostor_pairs() for k in kinds), strict=True))
    bins = np.array_split(np.argsort(better, kind="stable"), N_BINS)
    values = [rounded(float(np.median(better[part]))) for part in bins]
    penalties = monotone([needed_shift(ScoreDistribution.of(distances[part]), thresholds) for part in bins])
    if not penalties[0]:
        return None
    n_knots = penalties.index(0) + 1
    poorest = min(kinds, key=lambda kind: float(np.median(kind.sharpness)))
    return QualityPenalty(
        measure=MEASURE,
        values=tuple(values[:n_knots]),
        penalties=tuple(map(rounded, penalties[:n_knots])),
        min_value=floor(100 * float(np.quantile(poorest.sharpness, POOREST))) / 100,
        usual=rounded(float(np.median(kinds[0].sharpness))),
    )


def needed_shift(impostor: ScoreDistribution, thresholds: Mapping[float, float]) -> float:
    """Return how far the thresholds must fall to keep every FMR for which there are enough comparisons."""
    shifts = [
        threshold - metrics.threshold_at_fmr(impostor, fmr)
        for fmr, threshold in thresholds.items()
        if metrics.has_enough_impostors(impostor, fmr)
    ]
    return max(0.0, *shifts) if shifts else 0.0


def monotone(shifts: Sequence[float]) -> list[float]:
    """Make shifts non-increasing from the poorest bin to the best; 0 from the first that needs none and in the last."""
    first_free = next((k for k, shift in enumerate(shifts) if shift == 0), len(shifts) - 1)
    kept: Floats = np.append(shifts[:first_free], np.zeros(len(shifts) - first_free))
    penalties: list[float] = np.maximum.accumulate(kept[::-1])[::-1].tolist()
    return penalties
