"""Fit the penalties for poor photos: how far the threshold must fall for pairs of them to keep the claimed FMR.

For each measure, photos are copied with the degradations that it sees and compared within a kind, all against all. The
impostor comparisons of all kinds, including undegraded photos, are pooled into bins by the measure of the better photo
of each pair. A covered face is compared with open ones, so the measures of visible parts refuse no photo.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from embedder import MEASURES, Measure, QualityPenalty

from . import metrics
from .compared import ComparedPhotos
from .data_checks import without_doubles
from .embedding import COVERS, DEGRADATIONS, EmbeddedSet, embed_photos
from .evaluation import EvaluationConfig
from .metrics import Floats, ScoreDistribution
from .operating_points import FMRS, choose_threshold, rounded
from .protocols.protocol import Indices, LabeledPhoto, Protocol, ProtocolError, identity_numbers

SEEN_BY: Mapping[Measure, tuple[str, ...]] = {
    "sharpness": DEGRADATIONS,
    "eyes_visible": ("glasses",),
    "mouth_visible": ("mask",),
}  # measure -> the degradations that lower it
N_BINS = 8  # of equally many impostor comparisons
MOST_PHOTOS = 2000  # per kind: 2 million comparisons
MOST_OF_ONE = 4  # photos per person, so that many people are included
MIN_PEOPLE = 100  # too few people cannot determine the penalty
MIN_FACES = 100  # detected in the copies of a kind, for a meaningful false match rate
POOREST = 0.01  # share of the poorest kind that is below `min_value`, for measures that refuse photos
REFUSING: tuple[Measure, ...] = ("sharpness",)
FREE = 0.05  # share of the undegraded photos that may have a penalty by a measure of visible parts

KINDS = (None, *DEGRADATIONS, *COVERS)  # None: the undegraded photos


@dataclass(frozen=True, slots=True, eq=False)
class DegradedFaces:
    """The faces of photos with the same degradation, or none."""

    vectors: NDArray[np.float32]  # (n, channels)
    identities: Indices  # (n,)
    values: NDArray[np.float32]  # (n,) of one measure

    def impostor_pairs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compare all pairs of different people: distances (k,), and the measure of the better photo (k,)."""
        vectors = self.vectors.astype(np.float64)
        squares = (vectors**2).sum(axis=1)
        first, second = np.nonzero(np.triu(self.identities[:, None] != self.identities))
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))[first, second]
        return distances.astype(np.float32), np.maximum(self.values[first], self.values[second])


def fit_quality_penalties(
    compared: ComparedPhotos, setting: EvaluationConfig, further: Sequence[ComparedPhotos] = ()
) -> tuple[QualityPenalty, ...]:
    """Fit the penalties to degraded copies of photos, for the thresholds that hold on all populations.

    The comparisons have plain distances. There is no penalty for a measure that needs none. Raises CacheError, and
    ProtocolError if the photos show too few people.
    """
    usable = [without_doubles(each, seed=setting.resampling.seed) for each in (compared, *further)]
    drawn = drawn_photos(usable[0], setting.resampling.seed)
    thresholds = {
        FMRS[point.name]: point.threshold for point in choose_threshold([each.scores.impostor.tally for each in usable])
    }
    embedded = _embedded(compared.protocol, drawn, setting)
    found = [penalty_of(measure, list(_kinds(embedded, drawn, measure)), thresholds) for measure in SEEN_BY]
    return tuple(penalty for penalty in found if penalty is not None)


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
    """Return the photos, followed by copies with every kind of degradation and cover."""
    return tuple(replace(photo, degradation=kind) for kind in KINDS for photo in photos)


def _embedded(protocol: Protocol, photos: Sequence[LabeledPhoto], setting: EvaluationConfig) -> EmbeddedSet:
    """Embed the photos and their copies, kind by kind."""
    every = replace(protocol, photos=copies_of(photos), pairs=None)
    return embed_photos(every, setting.embedder, setting.face, setting.cache, setting.progress)


def _kinds(embedded: EmbeddedSet, photos: Sequence[LabeledPhoto], measure: Measure) -> Iterator[DegradedFaces]:
    """The undegraded photos, then each kind that lowers the measure, if enough faces were found."""
    identities = identity_numbers([photo.identity for photo in photos])
    for name in (None, *SEEN_BY[measure]):
        start = KINDS.index(name) * len(photos)
        vectors = embedded.vectors[start : start + len(photos)]
        values = embedded.measures[start : start + len(photos), MEASURES.index(measure)]
        found = ~np.isnan(vectors[:, 0])
        if found.sum() >= MIN_FACES:
            yield DegradedFaces(vectors[found], identities[found], values[found])


def penalty_of(
    measure: Measure, kinds: Sequence[DegradedFaces], thresholds: Mapping[float, float]
) -> QualityPenalty | None:
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
    knots = dict(zip(values[:n_knots], map(rounded, penalties), strict=False))
    if measure not in REFUSING:
        knots = _free_for_most(knots, kinds[0].values)
    return QualityPenalty(
        measure=measure,
        values=tuple(knots),
        penalties=tuple(knots.values()),
        min_value=_lowest([kind.values for kind in kinds]) if measure in REFUSING else 0.0,
        usual=rounded(float(np.median(kinds[0].values))),
    )


def _free_for_most(knots: Mapping[float, float], undegraded: NDArray[np.float32]) -> dict[float, float]:
    """End the penalty at a value that most undegraded photos exceed, though a few of them are covered a little."""
    end = min(max(knots), rounded(float(np.quantile(undegraded, FREE))))
    return {value: penalty for value, penalty in knots.items() if value < end} | {end: 0.0}


def _lowest(values: Sequence[NDArray[np.float32]]) -> float:
    """The value that hardly any photo of the poorest kind falls below, rounded down to hundredths."""
    poorest = min(values, key=lambda of_kind: float(np.median(of_kind)))
    return floor(100 * float(np.quantile(poorest, POOREST))) / 100


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
