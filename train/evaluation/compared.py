"""A protocol whose comparisons were made with one model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .all_pairs import compare_all
from .embedding import EmbeddedSet
from .listed import Listed, compare_listed, scores_of
from .protocols.protocol import Protocol
from .record import Failures, WorstPair
from .scores import Sample, Scores

N_WORST = 12


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Photos, their embeddings, and the distances between them."""

    protocol: Protocol
    embedded: EmbeddedSet
    scores: Scores
    listed: Listed | None  # None for an all-against-all

    def failures(self) -> Failures:
        """Return the photos without a usable face, and what could not be compared for them."""
        faults = zip(self.protocol.photos, self.embedded.faults, strict=True)
        photos = tuple((photo, fault) for photo, fault in faults if fault is not None)
        return Failures(photos, self.scores.genuine.n_failed, self.scores.impostor.n_failed)

    def worst_false_matches(self, decided: Scores, threshold: float) -> tuple[WorstPair, ...]:
        """Return the impostor comparisons farthest below the threshold that decided them, worst first."""
        sample = decided.impostor.sample
        n = min(int(np.searchsorted(sample.distances, threshold)), N_WORST)
        return self._pairs(sample, range(n))

    def worst_false_non_matches(self, decided: Scores, threshold: float) -> tuple[WorstPair, ...]:
        """Return the genuine comparisons farthest above the threshold that decided them, worst first."""
        sample = decided.genuine.sample
        last = len(sample.distances) - 1
        n = min(last + 1 - int(np.searchsorted(sample.distances, threshold)), N_WORST)
        return self._pairs(sample, range(last, last - n, -1))

    def _pairs(self, sample: Sample, chosen: Sequence[int]) -> tuple[WorstPair, ...]:
        return tuple(self._pair(sample.probe[k], sample.reference[k]) for k in chosen)

    def _pair(self, probe: int, reference: int) -> WorstPair:
        photos, vectors = self.protocol.photos, self.embedded.vectors
        distance = np.linalg.norm(vectors[probe].astype(np.float64) - vectors[reference].astype(np.float64))
        return WorstPair(photos[probe], photos[reference], float(distance))


def compare(protocol: Protocol, embedded: EmbeddedSet, *, seed: int) -> Compared:
    """Make the comparisons of a protocol; the seed draws which of very many are kept by name."""
    identities = protocol.identities
    if protocol.pairs is None:
        return Compared(protocol, embedded, compare_all(embedded.vectors, identities, seed=seed), None)
    listed = compare_listed(embedded.vectors, protocol.pairs)
    return Compared(protocol, embedded, scores_of(listed, identities), listed)
