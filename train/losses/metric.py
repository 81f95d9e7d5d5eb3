"""Metric terms: a loss of pytorch-metric-learning over mined pairs or triplets, with or without a cross-batch memory.

Wang et al., "Cross-batch memory for embedding learning", CVPR 2020. A network changes slowly, so embeddings from a few
batches ago are nearly equal to current ones.
"""

import math

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, MultiSimilarityLoss, TripletMarginLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer
from torch import Tensor, nn

from .. import run_file as runfile
from ..errors import LossError
from .batch import LossBatch, ReferenceBatch, TermValue, euclidean
from .miners import AllPairsMiner, AllTripletsMiner, BatchHardMiner, Indices, Miner, MultiSimilarityMiner, SemiHardMiner


class CrossBatchMemory(nn.Module):
    """A ring buffer of the last `size` embeddings; its content and position are part of the module's state.

    Embeddings before step `from_step` are not stored, because early ones change quickly.
    """

    embeddings: Tensor  # (size, channels)
    labels: Tensor  # (size,)
    n_seen: Tensor  # () number of embeddings stored so far

    def __init__(self, size: int, n_channels: int, from_step: int) -> None:
        super().__init__()
        self._size, self._from_step = size, from_step
        self.register_buffer("embeddings", torch.zeros(size, n_channels))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.int64))

    def forward(self, faces: LossBatch, step: int) -> ReferenceBatch:
        """Pair a batch with itself and the memory, then store it. Only the batch receives gradients.

        Raises LossError if the batch is larger than the memory.
        """
        self._require_room(len(faces.labels))
        n_kept = min(int(self.n_seen), self._size)
        comparisons = ReferenceBatch(
            faces.embeddings,
            faces.labels,
            torch.cat([faces.embeddings, self.embeddings[:n_kept].to(faces.embeddings.dtype)]),
            torch.cat([faces.labels, self.labels[:n_kept]]),
        )
        if step >= self._from_step:
            self._remember(faces)
        return comparisons

    @torch.no_grad()
    def _remember(self, faces: LossBatch) -> None:
        n = len(faces.labels)
        places = (self.n_seen + torch.arange(n, device=self.n_seen.device)) % self._size
        self.embeddings[places] = faces.embeddings.to(self.embeddings.dtype)
        self.labels[places] = faces.labels
        self.n_seen += n

    def _require_room(self, n: int) -> None:
        if n > self._size:
            raise LossError(
                f"a cross-batch memory of {self._size:,} embeddings is smaller than one batch of {n:,}; raise the "
                "term's memory to several batches, or set it to 0 for none"
            )


class MetricTerm(nn.Module):
    """A loss over mined pairs or triplets; `plateau` is the loss of equal embeddings, if known."""

    def __init__(
        self, loss: nn.Module, miner: Miner, memory: CrossBatchMemory | None, *, plateau: float | None = None
    ) -> None:
        super().__init__()
        self.loss, self.memory = loss, memory
        self._miner, self._plateau = miner, plateau

    def forward(self, faces: LossBatch, step: int) -> TermValue:
        """Compute the loss of a batch against itself and the memory, if any. Raises LossError."""
        comparisons = ReferenceBatch.within(faces) if self.memory is None else self.memory(faces, step)
        chosen = self._miner(comparisons)
        loss = self.loss(
            comparisons.embeddings,
            comparisons.labels,
            chosen.indices,
            comparisons.references,
            comparisons.reference_labels,
        )
        return TermValue(loss, chosen.active_share, self._plateau and float(loss.detach()) / self._plateau)


class PaperMultiSimilarityLoss(MultiSimilarityLoss):  # type: ignore[misc] # the library carries no types
    """MultiSimilarityLoss that counts a single mined pair, as in the paper; the library returns 0 for it."""

    def compute_loss(
        self, embeddings: Tensor, _labels: Tensor, indices_tuple: Indices, ref_emb: Tensor, _ref_labels: Tensor
    ) -> object:
        """Compute the loss of the mined pairs."""
        return self.loss_method(self.distance(embeddings, ref_emb), indices_tuple)


def contrastive(term: runfile.Contrastive, n_channels: int, *, unit_length: bool) -> MetricTerm:
    """Build a contrastive term: the mean over positive pairs plus that over negative pairs with a loss above 0.

    The loss of a pair is its distance beyond the margin, not squared as in Hadsell et al., 2006: with squares the
    farthest pairs would dominate, and these include mislabelled ones.
    """
    distance = euclidean(unit_length=unit_length)
    loss = ContrastiveLoss(
        pos_margin=term.positive_margin,
        neg_margin=term.negative_margin,
        distance=distance,
        reducer=AvgNonZeroReducer(),
    )
    miner = AllPairsMiner(distance, term.positive_margin, term.negative_margin)
    return MetricTerm(loss, miner, memory_of(term, n_channels), plateau=term.negative_margin)


def triplet(term: runfile.Triplet, n_channels: int, *, unit_length: bool) -> MetricTerm:
    """Build a triplet term. Margins refer to Euclidean distances, not to squared ones.

    Batch-hard averages over anchors, the other miners over triplets with a loss above 0. The soft loss is the mean of
    log(1 + exp(d_ap - d_an)) over mined triplets, without a margin; semi-hard mining still uses the margin.
    """
    distance = euclidean(unit_length=unit_length)
    margin = 0.0 if term.soft else term.margin
    miners: dict[str, Miner] = {
        "all": AllTripletsMiner(distance, margin),
        "hard": BatchHardMiner(distance, margin),
        "semi-hard": SemiHardMiner(distance, term.margin),
    }
    loss = TripletMarginLoss(
        margin=margin,
        smooth_loss=term.soft,
        distance=distance,
        reducer=MeanReducer() if term.miner == "hard" else AvgNonZeroReducer(),
    )
    cost = math.log(2) if term.soft else term.margin
    has_plateau = cost > 0 and term.miner != "semi-hard"  # equal embeddings have no semi-hard negatives
    return MetricTerm(loss, miners[term.miner], memory_of(term, n_channels), plateau=cost if has_plateau else None)


def multi_similarity(term: runfile.MultiSimilarity, n_channels: int) -> MetricTerm:
    """Build a multi-similarity term: the mean over anchors; always of cosines, whatever the embeddings' length."""
    similarity = CosineSimilarity()
    loss = PaperMultiSimilarityLoss(
        alpha=term.alpha, beta=term.beta, base=term.base, distance=similarity, reducer=MeanReducer()
    )
    return MetricTerm(loss, MultiSimilarityMiner(similarity, term.epsilon), memory_of(term, n_channels))


def memory_of(term: runfile.MetricLossTerm, n_channels: int) -> CrossBatchMemory | None:
    """Build the memory of a term, if it has one."""
    return CrossBatchMemory(term.memory, n_channels, term.memory_after_steps) if term.memory else None
