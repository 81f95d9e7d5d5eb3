"""Input and output of loss terms, and the distance used by losses and miners."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor


class Euclidean(LpDistance):  # type: ignore[misc] # the library carries no types
    """The Euclidean distance, not squared, with or without normalising embeddings to unit length.

    For more than 25 embeddings `cdist` uses inner products by default. These cancel for nearly equal embeddings, with
    an error of a thousandth of their length. Here the differences are squared. The gradient at distance 0 is 0.
    """

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Measure (n, channels) against (m, channels): (n, m)."""
        return torch.cdist(query_emb, ref_emb, compute_mode="donot_use_mm_for_euclid_dist")


def euclidean(*, unit_length: bool) -> Euclidean:
    """Build the distance; `unit_length` as in the model's architecture."""
    return Euclidean(normalize_embeddings=unit_length)


@dataclass(frozen=True, slots=True, eq=False)
class LossBatch:
    """n embeddings with their labels and teachers' embeddings."""

    embeddings: Tensor  # float32 or float64 (n, channels)
    labels: Tensor  # int64 (n,)
    teachers: Mapping[str, Tensor]  # by the teacher's name: (n, channels), of the same faces


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceBatch:
    """n faces, and m references to compare each with; the first n references are the batch itself."""

    embeddings: Tensor  # (n, channels)
    labels: Tensor  # (n,)
    references: Tensor  # (m, channels), m >= n
    reference_labels: Tensor  # (m,)

    @classmethod
    def within(cls, faces: LossBatch) -> "ReferenceBatch":
        """Compare a batch with itself only."""
        return cls(faces.embeddings, faces.labels, faces.embeddings, faces.labels)

    def positives(self) -> Tensor:
        """Return bool (n, m): same identity, except a face and itself."""
        return self._same().fill_diagonal_(fill_value=False)

    def negatives(self) -> Tensor:
        """Return bool (n, m): different identity."""
        return ~self._same()

    def _same(self) -> Tensor:
        return self.labels[:, None] == self.reference_labels


@dataclass(frozen=True, slots=True, eq=False)
class TermValue:
    """The loss of one term for a batch, before weighting."""

    loss: Tensor  # scalar
    active_share: float | None = None  # share of active comparisons; None: no comparisons
    share_of_plateau: float | None = None  # loss divided by the loss of equal embeddings; None: unknown
