"""The distance that losses and miners measure by: that of serving."""

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
