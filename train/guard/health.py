"""How a batch of embeddings lies: near each other or apart, in many directions or in few."""

from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-12  # of the length: what float64 leaves of equal embeddings when their mean is taken away


@dataclass(frozen=True, slots=True)
class EmbeddingHealth:
    """What a look at n embeddings finds. Where one of them is not finite, every measure is NaN."""

    n_identities: int
    positive_distance: float | None  # mean Euclidean distance of two faces of one identity; None: there are no two
    negative_distance: float | None  # of two identities
    length: float  # mean Euclidean length of an embedding
    least_variance: float  # of the 128 channels' variances over the batch
    median_variance: float
    effective_rank: float  # 1 ... min(n - 1, 128); 0 where all embeddings are the same


def health_of(embeddings: Tensor, labels: Tensor) -> EmbeddingHealth:
    """Measure embeddings (n, 128), n at least 2, with labels (n,)."""
    exact = embeddings.double()
    n_identities = len(torch.unique(labels))
    if not bool(torch.isfinite(exact).all()):
        return EmbeddingHealth(n_identities, *[float("nan")] * 6)
    distances = torch.cdist(exact, exact, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels
    variances = exact.var(dim=0)
    return EmbeddingHealth(
        n_identities=n_identities,
        positive_distance=_mean(distances[same.triu(1)]),
        negative_distance=_mean(distances[~same]),
        length=float(exact.norm(dim=1).mean()),
        least_variance=float(variances.min()),
        median_variance=float(variances.median()),
        effective_rank=effective_rank(exact),
    )


def effective_rank(embeddings: Tensor) -> float:
    """In how many directions embeddings (n, 128), float64, lie: exp of the entropy of their shares of the variance.

    Roy & Vetterli, "The effective rank", EUSIPCO 2007, of squared singular values. 0 where there is no variance.
    """
    sizes = torch.linalg.svdvals(embeddings - embeddings.mean(dim=0))
    if float(sizes.max()) <= ROUNDING * float(embeddings.norm()):
        return 0.0
    shares = sizes.square() / sizes.square().sum()
    return float(torch.special.entr(shares).sum().exp())


def _mean(distances: Tensor) -> float | None:
    return float(distances.mean()) if len(distances) else None
