"""Miners: select the pairs or triplets of a batch that a metric loss uses.

They return indices as the losses of pytorch-metric-learning expect them. The library's own miners treat a face in the
memory as its own positive; these do not, and are equivalent otherwise.
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
    """The indices that a miner selected."""

    indices: Indices  # of triplets: anchors, positives, negatives; of pairs: anchors, positives, anchors, negatives
    active_share: float | None  # None if there are no candidates


Miner = Callable[[ReferenceBatch], MinedIndices]


@dataclass(frozen=True, slots=True)
class AllPairsMiner:
    """All pairs. Active: positives beyond `positive_margin` and negatives within `negative_margin`."""

    distance: BaseDistance
    positive_margin: float
    negative_margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Select all."""
        distances = _distances(self.distance, comparisons)
        positives, negatives = comparisons.positives(), comparisons.negatives()
        active = positives & (distances > self.positive_margin) | negatives & (distances < self.negative_margin)
        return MinedIndices(_pairs(positives, negatives), _share(active, positives | negatives))


@dataclass(frozen=True, slots=True)
class AllTripletsMiner:
    """All triplets (batch-all). Active: those that violate the margin."""

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Select all."""
        triplets = _Triplets.of(self.distance, comparisons)
        return triplets.chosen(triplets.exist, self.margin)


@dataclass(frozen=True, slots=True)
class SemiHardMiner:
    """Triplets whose negative is farther than the positive, but by less than the margin.

    Active: all that violate the margin, including those that are not selected because the negative is nearer. So the
    share is high if all embeddings are equal, although nothing is selected. Schroff et al., "FaceNet", CVPR 2015.
    """

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Select them."""
        triplets = _Triplets.of(self.distance, comparisons)
        is_semi_hard = triplets.exist & (triplets.gaps > 0) & (triplets.gaps < self.margin)
        return triplets.chosen(is_semi_hard, self.margin)


@dataclass(frozen=True, slots=True)
class BatchHardMiner:
    """The farthest positive and the nearest negative of each anchor (batch-hard).

    Active: anchors whose triplet violates the margin. Hermans et al., "In defense of the triplet loss", 2017.
    """

    distance: BaseDistance
    margin: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Select one triplet for each anchor that has a positive and a negative."""
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
    """Positives less similar than the anchor's nearest negative; negatives more similar than its farthest positive.

    Pairs that fall short of this by less than epsilon are selected too. The selected pairs are the active ones.
    Wang et al., "Multi-similarity loss with general pair weighting", CVPR 2019, section 3.3.
    """

    similarity: BaseDistance
    epsilon: float

    @torch.no_grad()
    def __call__(self, comparisons: ReferenceBatch) -> MinedIndices:
        """Select them."""
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
    """All triplets of p positive pairs and m references."""

    anchors: Tensor  # (p,)
    positives: Tensor  # (p,)
    exist: Tensor  # bool (p, m): whether the reference is a negative
    gaps: Tensor  # (p, m) distance to the reference minus distance to the positive

    @classmethod
    def of(cls, distance: BaseDistance, comparisons: ReferenceBatch) -> "_Triplets":
        distances = _distances(distance, comparisons)
        anchors, positives = torch.nonzero(comparisons.positives(), as_tuple=True)
        gaps = distances[anchors] - distances[anchors, positives][:, None]
        return cls(anchors, positives, comparisons.negatives()[anchors], gaps)

    def chosen(self, taken: Tensor, margin: float) -> MinedIndices:
        """Select the triplets of a mask (p, m)."""
        pair, negatives = torch.nonzero(taken, as_tuple=True)
        share = _share(self.exist & _violates(self.gaps, margin), self.exist)
        return MinedIndices((self.anchors[pair], self.positives[pair], negatives), share)


def _violates(gaps: Tensor, margin: float) -> Tensor:
    """Check whether the negative is not farther than the positive by the margin; a soft loss has margin 0."""
    return (gaps < margin) | (gaps <= 0)


def _distances(distance: BaseDistance, comparisons: ReferenceBatch) -> Tensor:
    return distance(comparisons.embeddings, comparisons.references)  # type: ignore[no-any-return] # the library carries no types


def _pairs(positives: Tensor, negatives: Tensor) -> Indices:
    return *torch.nonzero(positives, as_tuple=True), *torch.nonzero(negatives, as_tuple=True)


def _share(active: Tensor, of: Tensor) -> float | None:
    n = int(of.count_nonzero())
    return int(active.count_nonzero()) / n if n else None
