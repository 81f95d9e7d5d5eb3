"""Miners: which pairs or triplets of a batch a metric loss is made of.

They give indices as the losses of pytorch-metric-learning take them. Its own miners count a face that lies in the
memory as its own positive; these never do, and are equal to them otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import BaseDistance
from torch import Tensor

from .batch import ReferenceBatch

Indices = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MinedIndices:
    """What a miner found."""

    indices: Indices  # of triplets: anchors, positives, negatives; of pairs: anchors, positives, anchors, negatives
    active_share: float | None  # None where there is nothing to choose from


Miner = Callable[[ReferenceBatch], MinedIndices]


@dataclass(frozen=True, slots=True)
class AllPairsMiner:
    """All pairs. Active is a positive one beyond the one margin, a negative one within the other."""

    distance: BaseDistance
    positive_margin: float
    negative_margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Take them all."""
        distances = _distances(self.distance, comparisons)
        positives, negatives = comparisons.positives(), comparisons.negatives()
        active = positives & (distances > self.positive_margin) | negatives & (distances < self.negative_margin)
        return MinedIndices(_pairs(positives, negatives), _share(active, positives | negatives))


@dataclass(frozen=True, slots=True)
class AllTripletsMiner:
    """All triplets (batch-all). Active are those that violate the margin."""

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Take them all."""
        triplets = _Triplets.of(self.distance, comparisons)
        return triplets.chosen(triplets.exist, self.margin)


@dataclass(frozen=True, slots=True)
class SemiHardMiner:
    """Triplets whose negative is farther than the positive, but not by the margin.

    Active are all that violate the margin, also those that are not taken because the negative is nearer: so the share
    is high in a batch that is one point, although nothing is taken there. Schroff et al., "FaceNet", CVPR 2015.
    """

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Choose them."""
        triplets = _Triplets.of(self.distance, comparisons)
        is_semi_hard = triplets.exist & (triplets.gaps > 0) & (triplets.gaps < self.margin)
        return triplets.chosen(is_semi_hard, self.margin)


@dataclass(frozen=True, slots=True)
class BatchHardMiner:
    """For each anchor its farthest positive and its nearest negative (batch-hard).

    Active are the anchors whose triplet violates the margin. Hermans et al., "In defense of the triplet loss", 2017.
    """

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Choose one triplet for each anchor that has a positive and a negative."""
        distances = _distances(self.distance, comparisons)
        positives, negatives = comparisons.positives(), comparisons.negatives()
        farthest = distances.masked_fill(~positives, -torch.inf).max(dim=1)
        nearest = distances.masked_fill(~negatives, torch.inf).min(dim=1)
        anchors = torch.nonzero(positives.any(dim=1) & negatives.any(dim=1)).flatten()
        gaps = (nearest.values - farthest.values)[anchors]
        active = _violates(gaps, self.margin)
        indices = (anchors, farthest.indices[anchors], nearest.indices[anchors])
        return MinedIndices(indices, _share(active, torch.ones_like(active)))


@dataclass(frozen=True, slots=True)
class MultiSimilarityMiner:
    """Positive pairs less alike than the nearest negative of the anchor, negative ones more than its farthest positive.

    A pair that misses that by less than epsilon is taken too. The pairs taken are the active ones.
    Wang et al., "Multi-similarity loss with general pair weighting", CVPR 2019, section 3.3.
    """

    similarity: BaseDistance
    epsilon: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Choose them."""
        similarities = _distances(self.similarity, comparisons)
        positives, negatives = comparisons.positives(), comparisons.negatives()
        least = similarities.masked_fill(~positives, torch.inf).amin(dim=1, keepdim=True)
        most = similarities.masked_fill(~negatives, -torch.inf).amax(dim=1, keepdim=True)
        kept_positives = positives & (similarities - self.epsilon < most)
        kept_negatives = negatives & (similarities + self.epsilon > least)
        share = _share(kept_positives | kept_negatives, positives | negatives)
        return MinedIndices(_pairs(kept_positives, kept_negatives), share)


@dataclass(frozen=True, slots=True, eq=False)
class _Triplets:
    """All triplets of p positive pairs with m references."""

    anchors: Tensor  # (p,)
    positives: Tensor  # (p,)
    exist: Tensor  # bool (p, m) is the reference a negative?
    gaps: Tensor  # (p, m) how much farther than the positive it is

    @classmethod
    def of(cls, distance: BaseDistance, comparisons: ReferenceBatch) -> "_Triplets":
        distances = _distances(distance, comparisons)
        anchors, positives = torch.nonzero(comparisons.positives(), as_tuple=True)
        gaps = distances[anchors] - distances[anchors, positives][:, None]
        return cls(anchors, positives, comparisons.negatives()[anchors], gaps)

    def chosen(self, taken: Tensor, margin: float) -> MinedIndices:
        """Take those of a mask (p, m)."""
        pair, negatives = torch.nonzero(taken, as_tuple=True)
        share = _share(self.exist & _violates(self.gaps, margin), self.exist)
        return MinedIndices((self.anchors[pair], self.positives[pair], negatives), share)


def _violates(gaps: Tensor, margin: float) -> Tensor:
    """Is the negative not farther than the positive, or not by the margin? In a soft loss the margin is 0."""
    return (gaps < margin) | (gaps <= 0)


def _distances(distance: BaseDistance, comparisons: ReferenceBatch) -> Tensor:
    return distance(comparisons.embeddings, comparisons.references)  # type: ignore[no-any-return] # the library carries no types


def _pairs(positives: Tensor, negatives: Tensor) -> Indices:
    return *torch.nonzero(positives, as_tuple=True), *torch.nonzero(negatives, as_tuple=True)


def _share(active: Tensor, of: Tensor) -> float | None:
    n = int(of.count_nonzero())
    return int(active.count_nonzero()) / n if n else None
