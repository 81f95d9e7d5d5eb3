"""A batch as the losses see it, what a term gives for it, and the distance that losses and miners measure by."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor


class Euclidean(LpDistance):  # type: ignore[misc] # the library carries no types
    """The Euclidean distance, not squared; of embeddings made unit length first, or as they are.

    For more than 25 embeddings `cdist` goes by way of inner products, which cancel where two are nearly alike: a
    thousandth of their length is lost. Here the differences themselves are squared. The gradient at distance 0 is 0.
    """

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """Measure (n, 128) against (m, 128): (n, m)."""
        return torch.cdist(query_emb, ref_emb, compute_mode="donot_use_mm_for_euclid_dist")


def euclidean(*, unit_length: bool) -> Euclidean:
    """Make the distance for embeddings that serving makes unit length, or does not."""
    return Euclidean(normalize_embeddings=unit_length)


@dataclass(frozen=True, slots=True, eq=False)
class LossBatch:
    """n embeddings, and what is known of them."""

    embeddings: Tensor  # float32 or float64 (n, 128)
    labels: Tensor  # int64 (n,)
    teachers: Mapping[str, Tensor]  # by the teacher's name: (n, 128), of the same faces


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceBatch:
    """Each face of a batch against references, the first n of which are the batch itself."""

    embeddings: Tensor  # (n, 128)
    labels: Tensor  # (n,)
    references: Tensor  # (m, 128), m >= n
    reference_labels: Tensor  # (m,)

    @classmethod
    def within(cls, faces: LossBatch) -> "ReferenceBatch":
        """Compare a batch with itself alone."""
        return cls(faces.embeddings, faces.labels, faces.embeddings, faces.labels)

    def positives(self) -> Tensor:
        """Tell which references are of the same identity; a face is no positive of itself: bool (n, m)."""
        return self._same().fill_diagonal_(fill_value=False)

    def negatives(self) -> Tensor:
        """Tell which references are of another identity: bool (n, m)."""
        return ~self._same()

    def _same(self) -> Tensor:
        return self.labels[:, None] == self.reference_labels


@dataclass(frozen=True, slots=True, eq=False)
class TermValue:
    """What one term gives for a batch, before it is weighted."""

    loss: Tensor  # scalar
    active_share: float | None = None  # of what it compares; None: it compares nothing
    share_of_plateau: float | None = None  # loss over what it is when all embeddings are one point; None: no such value
