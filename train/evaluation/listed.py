"""The comparisons that a protocol lists, one by one: few enough for each to be kept."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .penalties import Penalties
from .protocols.protocol import Indices, PairList
from .scores import ComparisonKind, ScoreSample, ScoreSet, whole
from .tally import Floats, ScoreHistogram

CHUNK = 65_536  # comparisons at a time


@dataclass(frozen=True, slots=True, eq=False)
class ListedScores:
    """A protocol's comparisons with their scores, in the protocol's order."""

    pairs: PairList
    values: Floats  # (n,) scores; NaN where a photo had no usable face


def compare_listed(
    vectors: NDArray[np.float32], pairs: PairList, *, penalties: Penalties | None = None
) -> ListedScores:
    """Measure the scores of listed comparisons of embeddings (n, 128); NaN rows are faces that were not found.

    A score is a distance, with the pair's penalty where there are penalties.
    """
    starts = range(0, len(pairs.same), CHUNK)
    parts = [_distances(vectors, pairs, slice(start, start + CHUNK)) for start in starts]
    distances = np.concatenate([np.empty(0), *parts])
    return ListedScores(
        pairs, distances if penalties is None else penalties.scores(distances, pairs.probe, pairs.reference)
    )


def scores_of(listed: ListedScores, identities: Indices) -> ScoreSet:
    """Sort listed comparisons by kind."""
    genuine, impostor = (_kind(listed, chosen, identities) for chosen in (listed.pairs.same, ~listed.pairs.same))
    return ScoreSet(genuine, impostor, identities)


def tallies(listed: ListedScores, chosen: NDArray[np.bool_]) -> tuple[ScoreHistogram, ScoreHistogram]:
    """Genuine and impostor scores of some of the comparisons; failures are left out."""
    made = chosen & ~np.isnan(listed.values)
    genuine, impostor = (
        ScoreHistogram.of(listed.values[made & kind]) for kind in (listed.pairs.same, ~listed.pairs.same)
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
