"""Validation on people held out: the equal error rate of comparing all chips with each other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embedder import Chips, EmbeddingNet

from ..data.prepared import PreparedData
from ..evaluation import metrics
from ..evaluation.all_pairs import compare_all
from ..evaluation.protocols.protocol import Indices

BATCH = 64
FMR = 1e-2  # at which FNMR is measured; a compromise between a strict rate and one that few people support


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Error rates of one validation."""

    eer: float
    fnmr: float | None  # at FMR 1%; None for too few comparisons
    n_genuine: int
    n_impostor: int


@dataclass(frozen=True, slots=True, eq=False)
class ChipValidation:
    """Embeds the chips of people held out, and compares all with each other."""

    data: PreparedData
    positions: Indices  # (n,) among the data's chips
    labels: Indices  # (n,)
    mirror: bool  # average the embedding over a chip and its horizontal flip?

    def __call__(self, network: EmbeddingNet) -> ValidationResult:
        """Compute the error rates. Leaves the network in eval mode."""
        parts = [self.positions[start : start + BATCH] for start in range(0, len(self.positions), BATCH)]
        found = [embedded(network, self.data.chips(part), mirror=self.mirror) for part in parts]
        return evaluate_embeddings(np.concatenate(found), self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureValidation:
    """The same if only the head is trained, with precomputed features."""

    # float32 (n, channels, side, side) each: of the chips, and of the flipped chips if the embedding averages both
    features: tuple[Tensor, ...]
    labels: Indices  # (n,)

    def __call__(self, network: EmbeddingNet) -> ValidationResult:
        """Compute the error rates. Leaves the network in eval mode."""
        network.eval()
        device = next(network.parameters()).device
        with torch.inference_mode():
            vectors = sum(network.head(each.to(device)).cpu() for each in self.features)
        return evaluate_embeddings((vectors / len(self.features)).numpy(), self.labels)


def evaluate_embeddings(vectors: NDArray[np.float32], labels: Indices) -> ValidationResult:
    """Compare all embeddings (n, channels) with each other. If one is not finite, the EER is 100%."""
    is_broken = not np.isfinite(vectors).all()
    scores = compare_all(np.zeros_like(vectors) if is_broken else vectors, labels, seed=0)
    genuine, impostor = scores.genuine.tally, scores.impostor.tally
    is_carried = metrics.has_enough_impostors(impostor, FMR)
    return ValidationResult(
        eer=1.0 if is_broken else metrics.eer(genuine, impostor),
        fnmr=1 - metrics.tar_at_fmr(genuine, impostor, FMR) if is_carried and not is_broken else None,
        n_genuine=round(genuine.n),
        n_impostor=round(impostor.n),
    )


def embedded(network: EmbeddingNet, chips: Chips, *, mirror: bool) -> NDArray[np.float32]:
    """Embed chips (n, side, side, 3) as a bundle of this network does: (n, channels). Sets the network to eval mode."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        pictures = torch.from_numpy(np.ascontiguousarray(chips)).to(device)
        vectors = network(pictures)
        if mirror:
            vectors = (vectors + network(pictures.flip(2))) / 2
    return vectors.cpu().numpy()  # type: ignore[no-any-return] # torch types it as Any
