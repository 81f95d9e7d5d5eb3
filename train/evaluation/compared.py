"""The comparisons of a protocol, made with one model and one kind of score: all pairs, or a list of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .all_pairs import compare_all, n_comparisons
from .embedding import EmbeddedSet
from .metrics import Floats, ScoreDistribution
from .protocols.protocol import Indices, PairList, Protocol
from .results import Failures, Refusals, WorstPair
from .scores import ComparisonKind, Penalties, ScoreSample, ScoreSet, whole
from .scoring import PLAIN, Scoring

CHUNK = 65_536  # comparisons at a time


@dataclass(frozen=True, slots=True, eq=False)
class ListedScores:
    """A protocol's comparisons with their scores, in the protocol's order."""

    pairs: PairList
    values: Floats  # (n,) scores; NaN if a photo had no usable face


def compare_listed(
    vectors: NDArray[np.float32], pairs: PairList, *, penalties: Penalties | None = None
) -> ListedScores:
    """Compute the scores of listed comparisons of embeddings (n, channels); rows of NaN have no face.

    A score is the distance, plus the pair's penalty if there are penalties.
    """
    starts = range(0, len(pairs.same), CHUNK)
    parts = [_distances(vectors, pairs, slice(start, start + CHUNK)) for start in starts]
    distances = np.concatenate([np.empty(0), *parts])
    return ListedScores(
        pairs, distances if penalties is None else penalties.scores(distances, pairs.probe, pairs.reference)
    )


def scores_of(listed: ListedScores, identities: Indices) -> ScoreSet:
    """Split listed comparisons into genuine and impostor ones."""
    genuine, impostor = (_kind(listed, chosen, identities) for chosen in (listed.pairs.same, ~listed.pairs.same))
    return ScoreSet(genuine, impostor, identities)


def tallies(listed: ListedScores, chosen: NDArray[np.bool_]) -> tuple[ScoreDistribution, ScoreDistribution]:
    """Return the genuine and impostor scores of some comparisons, without failures."""
    made = chosen & ~np.isnan(listed.values)
    genuine, impostor = (
        ScoreDistribution.of(listed.values[made & kind]) for kind in (listed.pairs.same, ~listed.pairs.same)
    )
    return genuine, impostor


def _kind(listed: ListedScores, chosen: NDArray[np.bool_], identities: Indices) -> ComparisonKind:
    made = chosen & ~np.isnan(listed.values)
    weights = np.ones(int(made.sum()), np.float32)
    sample = ScoreSample.ordered(listed.values[made], listed.pairs.probe[made], listed.pairs.reference[made], weights)
    return whole(sample, identities, n_failed=int((chosen & ~made).sum()))


def _distances(vectors: NDArray[np.float32], pairs: PairList, part: slice) -> Floats:
    probe, reference = (vectors[positions[part]].astype(np.float64) for positions in (pairs.probe, pairs.reference))
    distances: Floats = np.sqrt(((probe - reference) ** 2).sum(axis=1))
    return distances


N_WORST = 12


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPhotos:
    """Photos, their embeddings, and the scores between them."""

    protocol: Protocol
    embedded: EmbeddedSet
    scores: ScoreSet
    listed: ListedScores | None  # None for an all-against-all
    scoring: Scoring

    def failures(self) -> Failures:
        """Return the photos without a usable face, and the numbers of comparisons not made for this reason."""
        faults = zip(self.protocol.photos, self.embedded.faults, strict=True)
        photos = tuple((photo, fault) for photo, fault in faults if fault is not None)
        return Failures(photos, self.scores.genuine.n_failed, self.scores.impostor.n_failed)

    def refusals(self) -> Refusals | None:
        """Return the photos refused for low quality, and their comparisons; None if quality is ignored."""
        if self.scoring.refused is None:
            return None
        photos = tuple(self.protocol.photos[k] for k in np.flatnonzero(self.scoring.refused))
        return Refusals(photos, self.scores.genuine.n_refused, self.scores.impostor.n_refused)

    def worst_false_matches(self, decided: ScoreSet, threshold: float) -> tuple[WorstPair, ...]:
        """Return the impostor comparisons farthest below their threshold, worst first."""
        sample = decided.impostor.sample
        n = min(int(np.searchsorted(sample.values, threshold)), N_WORST)
        return self._pairs(sample, range(n))

    def worst_false_non_matches(self, decided: ScoreSet, threshold: float) -> tuple[WorstPair, ...]:
        """Return the genuine comparisons farthest above their threshold, worst first."""
        sample = decided.genuine.sample
        last = len(sample.values) - 1
        n = min(last + 1 - int(np.searchsorted(sample.values, threshold)), N_WORST)
        return self._pairs(sample, range(last, last - n, -1))

    def _pairs(self, sample: ScoreSample, chosen: Sequence[int]) -> tuple[WorstPair, ...]:
        return tuple(self._pair(sample.probe[k], sample.reference[k]) for k in chosen)

    def _pair(self, probe: int, reference: int) -> WorstPair:
        photos, vectors = self.protocol.photos, self.embedded.vectors
        distance = np.linalg.norm(vectors[probe].astype(np.float64) - vectors[reference].astype(np.float64))
        return WorstPair(photos[probe], photos[reference], float(distance))


def compare_photos(protocol: Protocol, embedded: EmbeddedSet, *, seed: int, scoring: Scoring = PLAIN) -> ComparedPhotos:
    """Make the comparisons of a protocol; by default with plain distances of all photos.

    `seed` decides which comparisons are sampled if there are too many to keep.
    """
    if protocol.pairs is None:
        return ComparedPhotos(protocol, embedded, _all_pairs(protocol, embedded, scoring, seed), None, scoring)
    pairs, n_refused = _taking_part(protocol.pairs, scoring)
    listed = compare_listed(embedded.vectors, pairs, penalties=scoring.penalties)
    scores = scores_of(listed, protocol.identities).with_refused(*n_refused)
    return ComparedPhotos(protocol, embedded, scores, listed, scoring)


def _all_pairs(protocol: Protocol, embedded: EmbeddedSet, scoring: Scoring, seed: int) -> ScoreSet:
    vectors, identities, refused = embedded.vectors, protocol.identities, scoring.refused
    if refused is None:
        return compare_all(vectors, identities, seed=seed, penalties=scoring.penalties)
    vectors = np.where(refused[:, None], np.float32(np.nan), vectors)
    scores = compare_all(vectors, identities, seed=seed, penalties=scoring.penalties)
    impostor, genuine = (n_comparisons(identities) - n_comparisons(identities[~refused])).tolist()
    return scores.with_refused(genuine, impostor, of_failed=True)


def _taking_part(pairs: PairList, scoring: Scoring) -> tuple[PairList, tuple[int, int]]:
    """Return the comparisons without refused photos, and the numbers of genuine and impostor ones left out."""
    if scoring.refused is None:
        return pairs, (0, 0)
    refused = scoring.refused[pairs.probe] | scoring.refused[pairs.reference]
    fold = None if pairs.fold is None else pairs.fold[~refused]
    kept = PairList(pairs.probe[~refused], pairs.reference[~refused], pairs.same[~refused], fold)
    return kept, (int((refused & pairs.same).sum()), int((refused & ~pairs.same).sum()))
